//! What is known of each step while the build goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use yadokari_build::{Expectation, Outcome, PlannedStep, StepId};
use yadokari_sandbox::Stream;

use super::lines::LineBuffer;

/// All steps of the build.
#[derive(Debug, Default)]
pub(super) struct Steps {
    steps: BTreeMap<StepId, Step>,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    /// `[stage 2/5]`.
    pub(super) prefix: String,
    /// The instruction on one line.
    pub(super) title: String,
    /// What the plan expects.
    pub(super) expectation: Expectation,
    /// The line that announces it was printed.
    pub(super) announced: bool,
    /// How it ended, and after how long.
    pub(super) ended: Option<(Outcome, Duration)>,
    /// The last lines it wrote.
    pub(super) tail: VecDeque<String>,
    stdout: LineBuffer,
    stderr: LineBuffer,
}

/// So many lines of a failed step are repeated where its output was not shown.
const TAIL: usize = 20;

impl Steps {
    /// Takes the plan.
    pub(super) fn plan(&mut self, planned: &[PlannedStep]) {
        let place = |id: StepId| {
            let stage = planned.iter().filter(|step| step.id.stage == id.stage);
            (
                stage.clone().filter(|step| step.id.step <= id.step).count(),
                stage.count(),
            )
        };
        let step = |step: &PlannedStep| {
            let (number, total) = place(step.id);
            let prefix = format!("[{} {number}/{total}]", step.stage);
            (step.id, Step::new(prefix, &step.title, step.expectation))
        };
        self.steps = planned.iter().map(step).collect();
    }

    /// A step, known or not.
    pub(super) fn step(&mut self, id: StepId) -> &mut Step {
        self.steps.entry(id).or_insert_with(|| {
            let prefix = format!("[stage-{} {}]", id.stage, id.step + 1);
            Step::new(prefix, "", Expectation::Run)
        })
    }

    /// All steps in the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &Step> {
        self.steps.values()
    }
}

impl Step {
    fn new(prefix: String, title: &str, expectation: Expectation) -> Self {
        Self {
            prefix,
            title: title.split_whitespace().collect::<Vec<_>>().join(" "),
            expectation,
            announced: false,
            ended: None,
            tail: VecDeque::new(),
            stdout: LineBuffer::default(),
            stderr: LineBuffer::default(),
        }
    }

    /// Takes output and gives the lines it completes.
    pub(super) fn output(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        let lines = match stream {
            Stream::Stdout => self.stdout.push(bytes),
            Stream::Stderr => self.stderr.push(bytes),
        };
        self.remember(&lines);
        lines
    }

    /// The lines that were not ended.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let lines: Vec<_> = self
            .stdout
            .finish()
            .into_iter()
            .chain(self.stderr.finish())
            .collect();
        self.remember(&lines);
        lines
    }

    fn remember(&mut self, lines: &[String]) {
        self.tail.extend(lines.iter().cloned());
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
    }
}
