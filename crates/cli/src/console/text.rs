//! Lines for people, in a terminal or a job log.

use std::io::Write;
use std::time::{Duration, Instant};

use yadokari_build::{Expectation, Outcome, PlannedStep, StepId};
use yadokari_image::Digest;
use yadokari_sandbox::Stream;

use super::fold::fold;
use super::live::columns_of_stderr;
use super::sections::Sections;
use super::steps::Steps;
use super::style::{Ink, Paper, paint};
use super::summary::Ending;
use super::transfers::Transfers;
use super::{Moment, Published};
use crate::convert::{ConsoleSettings, Verbosity};
use crate::report::{Excerpt, Failure};
use yadokari_dockerfile::Warning;

/// Writes what happens as text.
pub(super) struct Text {
    settings: ConsoleSettings,
    out: Box<dyn Write + Send>,
    steps: Steps,
    sections: Sections,
    transfers: Transfers,
    published: Vec<Published>,
    /// Seconds since 1970 at the event being told.
    now: Moment,
}

impl Text {
    pub(super) fn new(settings: ConsoleSettings, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            out,
            steps: Steps::default(),
            sections: Sections::default(),
            transfers: Transfers::default(),
            published: Vec::new(),
            now: Moment::default(),
        }
    }

    pub(super) fn at(&mut self, now: Moment) -> &mut Self {
        self.now = now;
        self
    }

    pub(super) fn planned(&mut self, steps: &[PlannedStep]) {
        self.steps.plan(steps);
    }

    /// A build check that fired, with the lines it is about.
    pub(super) fn lint(&mut self, warning: &Warning, excerpt: Option<&Excerpt>) {
        // `Rule: text (line N)` is the form that docker prints and other tools look for.
        self.warning(&warning.to_string());
        if let Some(excerpt) = excerpt {
            self.lines_of(Verbosity::Warn, &excerpt.to_text(self.paper()));
        }
    }

    /// A warning or a notice.
    pub(super) fn warning(&mut self, text: &str) {
        let label = self.paint(Ink::Warning, "warning");
        let line = format!("{label}: {text}");
        let lines = match self.paper().columns {
            Some(columns) => fold(&line, columns, 2),
            None => vec![line],
        };
        for line in lines {
            self.write(Verbosity::Warn, None, &line);
        }
    }

    /// A failure with all that belongs to it.
    pub(super) fn failure(&mut self, failure: &Failure) {
        self.lines_of(Verbosity::Error, &failure.render(self.paper()));
    }

    fn lines_of(&mut self, least: Verbosity, text: &str) {
        text.lines().for_each(|line| self.write(least, None, line));
    }

    pub(super) fn started(&mut self, id: StepId) {
        self.steps.step(id).start(Instant::now());
        // What is expected to need no work is told in one line when it ended.
        if self.steps.step(id).expectation == Expectation::Run {
            self.announce(id);
        }
    }

    fn announce(&mut self, id: StepId) {
        let step = self.steps.step(id);
        if std::mem::replace(&mut step.announced, true) {
            return;
        }
        let (prefix, title) = (step.prefix.clone(), step.title.clone());
        let header = format!(
            "{} {}",
            self.paint(Ink::Step, &prefix),
            self.paint(Ink::Strong, &title)
        );
        // Only commands have output that is worth folding.
        if self.uses_sections() && title.starts_with("RUN") {
            self.in_sections(|sections, now| sections.start(id, header, now));
        } else {
            self.write(Verbosity::Info, Some(id), &header);
        }
    }

    /// A step that was queued goes on.
    pub(super) fn running(&mut self, id: StepId, waited: Duration) {
        self.steps.step(id).run(waited);
    }

    /// Why a step is not in the cache.
    pub(super) fn missed(&mut self, id: StepId, reasons: &[String]) {
        let lines = self.steps.step(id).missed(reasons);
        self.lines(id, &lines);
    }

    pub(super) fn output(&mut self, id: StepId, stream: Stream, bytes: &[u8]) {
        let lines = self.steps.step(id).output(stream, bytes);
        self.lines(id, &lines);
    }

    fn lines(&mut self, id: StepId, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.announce(id);
        // Inside a section the header already says whose lines they are.
        let prefix = if self.uses_sections() {
            String::new()
        } else {
            let prefix = self.steps.step(id).prefix.clone();
            format!("{} ", self.paint(Ink::Step, &prefix))
        };
        for line in lines {
            self.write(Verbosity::Info, Some(id), &format!("{prefix}{line}"));
        }
    }

    pub(super) fn finished(&mut self, id: StepId, outcome: Outcome, took: Duration) {
        let rest = self.steps.step(id).rest();
        self.lines(id, &rest);
        let step = self.steps.step(id);
        step.end(outcome, took, Instant::now());
        let (announced, title) = (step.announced, step.title.clone());
        let (prefix, done) = (step.prefix.clone(), step.done());
        let prefix = self.paint(Ink::Step, &prefix);
        let line = match (outcome, announced) {
            (Outcome::Cached, true) => format!("{prefix} {}", self.paint(Ink::Good, "CACHED")),
            (Outcome::Cached, false) => {
                format!("{prefix} {} {title}", self.paint(Ink::Good, "CACHED"))
            }
            (Outcome::Metadata, true) => format!("{prefix} done"),
            (Outcome::Metadata, false) => format!("{prefix} {title}"),
            (Outcome::Ran { .. }, true) => format!("{prefix} {done}"),
            (Outcome::Ran { .. }, false) => format!("{prefix} {title}: {done}"),
        };
        self.write(Verbosity::Info, Some(id), &line);
        self.in_sections(|sections, now| sections.end(id, now));
    }

    pub(super) fn failed(&mut self, id: StepId) {
        let rest = self.steps.step(id).rest();
        self.lines(id, &rest);
        let step = self.steps.step(id);
        step.failed = true;
        let (prefix, tail) = (step.prefix.clone(), step.last_lines());
        let failed = self.paint(Ink::Error, "FAILED");
        self.write(Verbosity::Info, Some(id), &format!("{prefix} {failed}"));
        self.in_sections(|sections, now| sections.fail(id, now));
        let shown = self.shows(Verbosity::Info);
        if !shown && !tail.is_empty() {
            let paper = self.paper();
            let heading = self.steps.step(id).heading(paper);
            self.put(&heading);
            tail.iter()
                .for_each(|line| self.put(&format!("{prefix} {line}")));
        }
    }

    pub(super) fn transfer_started(&mut self, id: u64, label: &str, total: u64) {
        let line = self.transfers.start(id, label, total, Instant::now());
        self.write(Verbosity::Info, None, &line);
    }

    pub(super) fn transfer_progress(&mut self, id: u64, moved: u64) {
        if let Some(line) = self.transfers.progress(id, moved, Instant::now()) {
            self.write(Verbosity::Info, None, &line);
        }
    }

    pub(super) fn transfer_finished(&mut self, id: u64) {
        if let Some(line) = self.transfers.finish(id, Instant::now()) {
            self.write(Verbosity::Info, None, &line);
        }
    }

    pub(super) fn layer(&mut self, id: StepId, size: u64) {
        self.steps.step(id).layer = Some(size);
    }

    pub(super) fn published(&mut self, place: &str, digest: Digest) {
        self.published.push(Published {
            place: place.to_owned(),
            digest,
        });
    }

    /// No step goes on any more: what was said and not shown yet is written.
    pub(super) fn close(&mut self) {
        for id in self.steps.unfinished() {
            let rest = self.steps.step(id).rest();
            self.lines(id, &rest);
        }
        self.in_sections(Sections::finish);
    }

    pub(super) fn summary(&mut self, ending: Ending) {
        self.close();
        let lines = super::summary::lines(
            &self.steps,
            &self.transfers,
            &self.published,
            ending,
            self.paper(),
        );
        self.info(&lines);
    }

    /// Lines that belong to no step.
    pub(super) fn info(&mut self, lines: &[String]) {
        lines
            .iter()
            .for_each(|line| self.write(Verbosity::Info, None, line));
    }

    fn in_sections(&mut self, change: impl FnOnce(&mut Sections, u64) -> Vec<String>) {
        if self.uses_sections() {
            let lines = change(&mut self.sections, self.now.seconds());
            self.put_all(&lines);
        }
    }

    fn write(&mut self, least: Verbosity, step: Option<StepId>, line: &str) {
        if !self.shows(least) {
            return;
        }
        if self.uses_sections() {
            let lines = self.sections.line(step, line.to_owned());
            self.put_all(&lines);
        } else {
            self.put(line);
        }
    }

    fn put_all(&mut self, lines: &[String]) {
        lines.iter().for_each(|line| self.put(line));
    }

    fn put(&mut self, line: &str) {
        let time = if self.settings.timestamp {
            self.stamp()
        } else {
            String::new()
        };
        // A closed log must not end the build.
        let _ = writeln!(self.out, "{time}{line}");
    }

    fn shows(&self, least: Verbosity) -> bool {
        let enough = self.settings.verbosity >= least;
        enough && (!self.settings.quiet || least <= Verbosity::Warn)
    }

    fn uses_sections(&self) -> bool {
        self.settings.sections && self.shows(Verbosity::Info)
    }

    /// What lines are written on; a terminal's rows have an end.
    pub(super) fn paper(&self) -> Paper {
        let stamp = match self.settings.timestamp {
            true => self.stamp().len(),
            false => 0,
        };
        let columns = self.settings.fitted.then(columns_of_stderr).flatten();
        Paper {
            color: self.settings.color,
            columns: columns.map(|columns| columns.saturating_sub(stamp)),
        }
    }

    /// The time, as it stands before a line.
    fn stamp(&self) -> String {
        format!("{} ", self.now)
    }

    fn paint(&self, ink: Ink, text: &str) -> String {
        paint(self.settings.color, ink, text)
    }
}
