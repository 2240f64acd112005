//! Stages as the display sees them, and which of them share a row.

use std::time::Duration;

use yadokari_build::Outcome;

use super::Canvas;
use crate::console::steps::Step;
use crate::console::style::Ink;

/// A stage with the steps it has.
pub(super) struct Stage<'a> {
    pub(super) steps: Vec<&'a Step>,
}

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waits,
    Runs,
    Done,
    Failed,
}

impl<'a> Stage<'a> {
    pub(super) fn new(steps: Vec<&'a Step>) -> Self {
        Self { steps }
    }

    pub(super) fn name(&self) -> &str {
        self.steps.first().map_or("", |step| step.stage.as_str())
    }

    pub(super) fn done(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| step.ended.is_some())
            .count()
    }

    pub(super) fn cached(&self) -> usize {
        let is_cached = |step: &&&Step| matches!(step.ended, Some((Outcome::Cached, _)));
        self.steps.iter().filter(is_cached).count()
    }

    /// Wall time from the start of its first step to the end of its last.
    pub(super) fn took(&self) -> Duration {
        let start = self.steps.iter().filter_map(|step| step.started).min();
        let end = self.steps.iter().filter_map(|step| step.ended_at).max();
        let both = start.zip(end);
        both.map_or(Duration::ZERO, |(start, end)| end.duration_since(start))
    }

    /// The stages that its next step waits for.
    pub(super) fn waits_for(&self) -> Option<&'a str> {
        let next = self.current().filter(|step| step.is_waiting());
        next.map(|step| step.waits_for.as_str())
    }

    /// The step that goes on now, or the one that comes next.
    pub(super) fn current(&self) -> Option<&'a Step> {
        let next = self.steps.iter().find(|step| step.ended.is_none());
        next.copied()
    }

    pub(super) fn state(&self) -> State {
        match () {
            () if self.steps.iter().any(|step| step.failed) => State::Failed,
            () if self.done() == self.steps.len() => State::Done,
            () if self.waits_for().is_some() => State::Waits,
            () if self.steps.iter().all(|step| step.started.is_none()) => State::Waits,
            () => State::Runs,
        }
    }
}

/// Which rows are put into one, because there is no room for all.
pub(super) struct Folded {
    pub(super) done: bool,
    pub(super) waiting: bool,
}

impl Folded {
    pub(super) fn new(stages: &[Stage<'_>], room: usize) -> Self {
        // A running stage wants a line of its output too.
        let running = count(stages, State::Runs);
        let mut folded = Self {
            done: false,
            waiting: false,
        };
        folded.done = folded.rows(stages) + running > room && count(stages, State::Done) > 1;
        folded.waiting = folded.rows(stages) + running > room && count(stages, State::Waits) > 1;
        folded
    }

    pub(super) fn rows(&self, stages: &[Stage<'_>]) -> usize {
        let saved = |folded: bool, state| {
            if folded {
                count(stages, state).saturating_sub(1)
            } else {
                0
            }
        };
        stages.len() - saved(self.done, State::Done) - saved(self.waiting, State::Waits)
    }

    pub(super) fn done_row(&self, canvas: &Canvas, stages: &[Stage<'_>]) -> Option<String> {
        let text = format!(
            "{} {} stages done",
            canvas.tick_mark(),
            count(stages, State::Done)
        );
        self.done.then(|| canvas.row(Some(Ink::Good), &text, ""))
    }

    pub(super) fn waiting_row(&self, canvas: &Canvas, stages: &[Stage<'_>]) -> Option<String> {
        let text = format!(
            "{} {} stages wait",
            canvas.dot(),
            count(stages, State::Waits)
        );
        self.waiting
            .then(|| canvas.row(Some(Ink::Faint), &text, ""))
    }
}

fn count(stages: &[Stage<'_>], state: State) -> usize {
    stages.iter().filter(|stage| stage.state() == state).count()
}
