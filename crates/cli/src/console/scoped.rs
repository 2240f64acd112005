//! One of several builds that share a console.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use yadokari_build::{Event, Events, PlannedStep, StepId};

use super::Console;

/// Tells a console of one build among others: stages get the build's name, and steps and transfers numbers of their own.
#[derive(Debug)]
pub struct Scoped {
    console: Arc<Console>,
    name: String,
    index: usize,
    hidden: PathBuf,
}

/// Stages of one build have numbers below this.
const STAGES: usize = 10_000;
/// Transfers of one build have numbers below this.
const TRANSFERS: u64 = 1 << 32;

impl Scoped {
    /// The build of this name, the `index`th of them. Results below `hidden` are for other builds and not told of.
    pub fn new(console: Arc<Console>, name: &str, index: usize, hidden: &Path) -> Self {
        Self {
            console,
            name: name.to_owned(),
            index,
            hidden: hidden.to_owned(),
        }
    }

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
        self.console.on(Event::Planned { steps: &steps });
    }
}

impl Events for Scoped {
    fn on(&self, event: Event<'_>) {
        let event = match event {
            Event::Planned { steps } => return self.planned(steps),
            // Warnings name the line; the lines of several files at once would be quoted from the wrong one.
            Event::Source(_) => return,
            Event::Published { place, .. } if Path::new(place).starts_with(&self.hidden) => return,
            Event::Notice(text) => {
                return self
                    .console
                    .on(Event::Notice(&format!("{}: {text}", self.name)));
            }
            Event::Waiting { step, stages } => Event::Waiting {
                step: self.step(step),
                stages,
            },
            Event::Started(id) => Event::Started(self.step(id)),
            Event::Failed(id) => Event::Failed(self.step(id)),
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
        self.console.on(event);
    }
}
