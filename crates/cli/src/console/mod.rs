//! Tells people and machines what happens: the implementation of the build's events.

pub(crate) mod fold;
mod json;
mod lines;
mod live;
mod moment;
mod onscreen;
mod scoped;
mod sections;
mod steps;
pub(crate) mod style;
mod summary;
mod text;
mod transfers;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use yadokari_build::{Clock, Event, Events, SourceFile};
use yadokari_dockerfile::Warning;
use yadokari_image::Digest;

pub(crate) use self::live::columns_of_stdout;
pub use self::live::{Above, Screen};
pub use self::scoped::{Group, Scoped};

use self::json::Json;
use self::moment::Moment;
use self::onscreen::OnScreen;
use self::summary::Ending;
use self::text::Text;
use crate::convert::{ConsoleSettings, LogFormat, Verbosity};
use crate::report::{Excerpt, Failure};

/// Writes events to one stream, in the form that was asked for.
pub struct Console {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    form: Form,
    /// The Dockerfile that was read last, which build checks are about.
    source: Option<SourceFile>,
}

enum Form {
    Text(Text),
    Screen(OnScreen),
    Json(Json),
}

/// A place where the image is.
#[derive(Debug, Clone)]
struct Published {
    place: String,
    digest: Digest,
}

impl Console {
    /// Writes to `out`, usually standard error.
    pub fn new(
        settings: ConsoleSettings,
        clock: Arc<dyn Clock>,
        out: Box<dyn Write + Send>,
    ) -> Self {
        Self::with_form(
            clock,
            match settings.format {
                LogFormat::Text => Form::Text(Text::new(settings, out)),
                LogFormat::Json => Form::Json(Json::new(settings, out)),
            },
        )
    }

    /// Shows the build on a terminal, where what goes on is redrawn in place.
    pub fn on_screen(settings: ConsoleSettings, clock: Arc<dyn Clock>, screen: Screen) -> Self {
        Self::with_form(clock, Form::Screen(OnScreen::new(settings, screen)))
    }

    fn with_form(clock: Arc<dyn Clock>, form: Form) -> Self {
        Self {
            clock,
            state: Mutex::new(State { form, source: None }),
        }
    }

    /// Tells something that needs attention but is no error.
    pub fn notice(&self, text: &str) {
        self.with(|form| match form {
            Form::Text(text_form) => text_form.warning(text),
            Form::Screen(screen) => screen.text.warning(text),
            Form::Json(json) => json.message(Verbosity::Warn, text),
        });
    }

    /// Tells what was done, where no step of a build says it.
    pub fn tell(&self, text: &str) {
        self.with(|form| match form {
            Form::Text(text_form) => text_form.info(&[text.to_owned()]),
            Form::Screen(screen) => screen.text.info(&[text.to_owned()]),
            Form::Json(json) => json.message(Verbosity::Info, text),
        });
    }

    /// Tells a build check that fired, with the lines that it is about.
    pub fn lint(&self, warning: &Warning, excerpt: Option<&Excerpt>) {
        self.with(|form| match form {
            Form::Text(text) => text.lint(warning, excerpt),
            Form::Screen(screen) => screen.text.lint(warning, excerpt),
            Form::Json(json) => json.lint(warning, excerpt),
        });
    }

    /// Tells how the build went.
    pub fn summary(&self, took: Duration) {
        self.end(Ending { took, partly: None });
    }

    /// Tells what there is of several images, of which `built` of `all` could be built. The failures come after it.
    pub fn partial_summary(&self, took: Duration, built: usize, all: usize) {
        let partly = Some((built, all));
        self.end(Ending { took, partly });
    }

    fn end(&self, ending: Ending) {
        self.with(|form| match form {
            Form::Text(text) => text.summary(ending),
            Form::Screen(screen) => screen.summary(ending),
            Form::Json(json) => json.summary(ending),
        });
    }

    /// Takes a live display away, after the output of what failed, or writes what was held back. For the end of a build
    /// that has no summary; what is told later stands below.
    pub fn close(&self) {
        self.with(|form| match form {
            Form::Text(text) => text.close(),
            Form::Screen(screen) => screen.close(),
            Form::Json(_) => {}
        });
    }

    /// Tells a failure.
    pub fn failure(&self, failure: &Failure) {
        self.with(|form| match form {
            Form::Text(text) => text.failure(failure),
            Form::Screen(screen) => screen.text.failure(failure),
            Form::Json(json) => json.error(failure.to_json()),
        });
    }

    fn with(&self, tell: impl FnOnce(&mut Form)) {
        let now = self.now();
        let mut state = self.state();
        match &mut state.form {
            Form::Text(text) => drop(text.at(now)),
            Form::Screen(screen) => drop(screen.text.at(now)),
            Form::Json(json) => drop(json.at(now)),
        }
        tell(&mut state.form);
    }

    /// The lines of the Dockerfile that a build check is about.
    fn excerpt(&self, warning: &Warning) -> Option<Excerpt> {
        let state = self.state();
        let source = state.source.as_ref();
        source.map(|file| Excerpt::of(file, warning.span))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        Moment::from(self.clock.now())
    }
}

impl Events for Console {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::Source(file) => self.state().source = Some(file.clone()),
            Event::Lint(warning) => self.lint(warning, self.excerpt(warning).as_ref()),
            Event::Notice(text) => self.notice(text),
            event => self.with(|form| match form {
                Form::Text(text) => tell_text(text, event),
                Form::Screen(screen) => screen.tell(event),
                Form::Json(json) => tell_json(json, event),
            }),
        }
    }
}

fn tell_text(text: &mut Text, event: Event<'_>) {
    match event {
        Event::Planned { steps } => text.planned(steps),
        Event::Missed { step, reasons } => text.missed(step, reasons),
        Event::Layer { step, size } => text.layer(step, size),
        Event::Started(id) => text.started(id),
        Event::Running { step, waited } => text.running(step, waited),
        Event::Output {
            step,
            stream,
            bytes,
        } => text.output(step, stream, bytes),
        Event::Finished {
            step,
            outcome,
            took,
        } => text.finished(step, outcome, took),
        Event::Failed(id) => text.failed(id),
        Event::TransferStarted { id, label, total } => text.transfer_started(id, label, total),
        Event::TransferProgress { id, done } => text.transfer_progress(id, done),
        Event::TransferFinished { id } => text.transfer_finished(id),
        Event::Published { place, digest } => text.published(place, digest),
        _ => {}
    }
}

fn tell_json(json: &mut Json, event: Event<'_>) {
    match event {
        Event::Planned { steps } => json.planned(steps),
        Event::Missed { step, reasons } => json.step("missed", step, json!({ "reasons": reasons })),
        Event::Layer { step, size } => json.layer(step, size),
        Event::Waiting { step, stages } => json.step("waiting", step, json!({ "for": stages })),
        Event::Started(id) => json.step("started", id, json!({})),
        Event::Queued(id) => json.step("queued", id, json!({})),
        Event::Running { step, waited } => {
            json.step("running", step, json!({ "waited": waited.as_secs_f64() }));
        }
        Event::Output {
            step,
            stream,
            bytes,
        } => json.output(step, stream, bytes),
        Event::Finished {
            step,
            outcome,
            took,
        } => json.finished(step, outcome, took),
        Event::Failed(id) => json.failed(id),
        Event::TransferStarted { id, label, total } => {
            json.transfer(
                "transfer-started",
                json!({"id": id, "label": label, "bytes": total}),
            );
        }
        // A machine reads the log afterwards, when progress is of no use.
        Event::TransferProgress { .. } => {}
        Event::TransferFinished { id } => json.transfer("transfer-finished", json!({ "id": id })),
        Event::Published { place, digest } => json.published(place, digest),
        _ => {}
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}
