//! Several builds that share a console.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use yadokari_build::{Event, Events, PlannedStep, SourceFile, StepId};
use yadokari_dockerfile::Warning;

use super::Console;
use crate::report::Excerpt;

/// Builds that share a console.
#[derive(Debug)]
pub struct Group {
    console: Arc<Console>,
    hidden: PathBuf,
    /// The build checks that were told.
    warned: Mutex<HashSet<(String, Option<Excerpt>)>>,
}

/// Tells a console of one build among others: stages get the build's name, and steps and transfers numbers of their own.
#[derive(Debug)]
pub struct Scoped {
    group: Arc<Group>,
    name: String,
    index: usize,
    /// Its Dockerfile, once that was read.
    source: Mutex<Option<SourceFile>>,
}

/// Stages of one build have numbers below this.
const STAGES: usize = 10_000;
/// Transfers of one build have numbers below this.
const TRANSFERS: u64 = 1 << 32;

impl Group {
    /// No builds yet. Results below `hidden` are for other builds and not told of.
    pub fn new(console: Arc<Console>, hidden: &Path) -> Arc<Self> {
        Arc::new(Self {
            console,
            hidden: hidden.to_owned(),
            warned: Mutex::default(),
        })
    }

    /// The build of this name, the `index`th of them.
    pub fn build(self: &Arc<Self>, name: &str, index: usize) -> Scoped {
        Scoped {
            group: Arc::clone(self),
            name: name.to_owned(),
            index,
            source: Mutex::default(),
        }
    }

    /// Tells a build check, unless another build of the same Dockerfile did.
    fn lint(&self, warning: &Warning, excerpt: Option<Excerpt>) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert((warning.to_string(), excerpt.clone())) {
            self.console.lint(warning, excerpt.as_ref());
        }
    }
}

impl Scoped {
    fn step(&self, id: StepId) -> StepId {
        StepId {
            stage: id.stage + self.index * STAGES,
            ..id
        }
    }

    fn transfer(&self, id: u64) -> u64 {
        id + self.index as u64 * TRANSFERS
    }

    fn planned(&self, steps: &[PlannedStep]) {
        let rename = |step: &PlannedStep| PlannedStep {
            id: self.step(step.id),
            stage: format!("{} {}", self.name, step.stage),
            ..step.clone()
        };
        let steps: Vec<_> = steps.iter().map(rename).collect();
        self.group.console.on(Event::Planned { steps: &steps });
    }

    fn source(&self, file: &SourceFile) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        *source = Some(file.clone());
    }

    fn lint(&self, warning: &Warning) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let file = source.as_ref();
        let excerpt = file.map(|file| Excerpt::of(file, warning.span));
        self.group.lint(warning, excerpt);
    }

    fn notice(&self, text: &str) {
        let text = format!("{}: {text}", self.name);
        self.group.console.on(Event::Notice(&text));
    }
}

impl Events for Scoped {
    fn on(&self, event: Event<'_>) {
        let event = match event {
            Event::Planned { steps } => return self.planned(steps),
            Event::Source(file) => return self.source(file),
            Event::Lint(warning) => return self.lint(warning),
            Event::Notice(text) => return self.notice(text),
            Event::Published { place, .. } if Path::new(place).starts_with(&self.group.hidden) => {
                return;
            }
            Event::Waiting { step, stages } => Event::Waiting {
                step: self.step(step),
                stages,
            },
            Event::Started(id) => Event::Started(self.step(id)),
            Event::Failed(id) => Event::Failed(self.step(id)),
            Event::Missed { step, reasons } => Event::Missed {
                step: self.step(step),
                reasons,
            },
            Event::Queued(id) => Event::Queued(self.step(id)),
            Event::Running { step, waited } => Event::Running {
                step: self.step(step),
                waited,
            },
            Event::Output {
                step,
                stream,
                bytes,
            } => Event::Output {
                step: self.step(step),
                stream,
                bytes,
            },
            Event::Finished {
                step,
                outcome,
                took,
            } => Event::Finished {
                step: self.step(step),
                outcome,
                took,
            },
            Event::Layer { step, size } => Event::Layer {
                step: self.step(step),
                size,
            },
            Event::TransferStarted { id, label, total } => Event::TransferStarted {
                id: self.transfer(id),
                label,
                total,
            },
            Event::TransferProgress { id, done } => Event::TransferProgress {
                id: self.transfer(id),
                done,
            },
            Event::TransferFinished { id } => Event::TransferFinished {
                id: self.transfer(id),
            },
            event => event,
        };
        self.group.console.on(event);
    }
}
