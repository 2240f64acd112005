//! What is known of each step while the build goes on.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use console::truncate_str;
use yadokari_build::{Expectation, Outcome, PlannedStep, StepId};
use yadokari_sandbox::Stream;

use super::lines::LineBuffer;
use super::style::{self, Ink, Paper, paint};

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
    /// The name of its stage.
    pub(super) stage: String,
    /// The instruction on one line.
    pub(super) title: String,
    /// What the plan expects.
    pub(super) expectation: Expectation,
    /// The line that announces it was printed.
    pub(super) announced: bool,
    /// The stages it waits for, or waited for before it started.
    pub(super) waits_for: String,
    /// It started, and its command waits for its turn.
    pub(super) queued: bool,
    /// How long its command waited.
    pub(super) waited: Duration,
    /// When it started.
    pub(super) started: Option<Instant>,
    /// When it ended.
    pub(super) ended_at: Option<Instant>,
    /// How it ended, and after how long.
    pub(super) ended: Option<(Outcome, Duration)>,
    /// It failed.
    pub(super) failed: bool,
    /// Compressed size of its layer in bytes.
    pub(super) layer: Option<u64>,
    /// The last lines it wrote.
    pub(super) tail: VecDeque<String>,
    /// How many lines it wrote before those.
    pub(super) forgotten: usize,
    stdout: LineBuffer,
    stderr: LineBuffer,
}

/// So many lines of a failed step are repeated where its output was not shown.
const TAIL: usize = 40;

impl Steps {
    /// Takes a plan, beside or in place of earlier ones: a build for several platforms has one for each.
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
            (
                step.id,
                Step::new(prefix, &step.stage, &step.title, step.expectation),
            )
        };
        self.steps.extend(planned.iter().map(step));
    }

    /// A step, known or not.
    pub(super) fn step(&mut self, id: StepId) -> &mut Step {
        self.steps.entry(id).or_insert_with(|| {
            let stage = format!("stage-{}", id.stage);
            let prefix = format!("[{stage} {}]", id.step + 1);
            Step::new(prefix, &stage, "", Expectation::Run)
        })
    }

    /// All steps in the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &Step> {
        self.steps.values()
    }

    /// The steps that go on.
    pub(super) fn unfinished(&self) -> Vec<StepId> {
        let running = self.steps.iter().filter(|(_, step)| step.is_running());
        running.map(|(id, _)| *id).collect()
    }

    /// The steps of each stage that the build needs, in the order of the file.
    pub(super) fn stages(&self) -> Vec<Vec<&Step>> {
        let mut stages: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
        for (id, step) in &self.steps {
            if step.expectation != Expectation::Skipped {
                stages.entry(id.stage).or_default().push(step);
            }
        }
        stages.into_values().collect()
    }
}

impl Step {
    fn new(prefix: String, stage: &str, title: &str, expectation: Expectation) -> Self {
        Self {
            prefix,
            stage: stage.to_owned(),
            title: title.split_whitespace().collect::<Vec<_>>().join(" "),
            expectation,
            announced: false,
            waits_for: String::new(),
            queued: false,
            waited: Duration::ZERO,
            started: None,
            ended_at: None,
            ended: None,
            failed: false,
            layer: None,
            tail: VecDeque::new(),
            forgotten: 0,
            stdout: LineBuffer::default(),
            stderr: LineBuffer::default(),
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.started = Some(now);
    }

    /// It was queued, and its command starts.
    pub(super) fn run(&mut self, waited: Duration) {
        self.queued = false;
        self.waited = waited;
    }

    pub(super) fn end(&mut self, outcome: Outcome, took: Duration, now: Instant) {
        self.ended = Some((outcome, took));
        self.ended_at = Some(now);
    }

    /// How long its command waited, if that is worth a word.
    pub(super) fn wait(&self) -> Option<String> {
        let worth = self.waited >= Duration::from_millis(100);
        worth.then(|| format!("waited {}", style::duration(self.waited)))
    }

    /// How it ran: `done in 3.2s, waited 1.0s, 12 changes`.
    pub(super) fn done(&self) -> String {
        let Some((Outcome::Ran { changes }, took)) = self.ended else {
            return "done".to_owned();
        };
        let changes = match changes {
            0 => "nothing changed".to_owned(),
            1 => "1 change".to_owned(),
            more => format!("{more} changes"),
        };
        let took = format!("done in {}", style::duration(took));
        let parts: Vec<_> = [Some(took), self.wait(), Some(changes)]
            .into_iter()
            .flatten()
            .collect();
        parts.join(", ")
    }

    /// Its number and its instruction, on one line of this paper.
    pub(super) fn heading(&self, paper: Paper) -> String {
        let prefix = paint(paper.color, Ink::Step, &self.prefix);
        let title = paint(paper.color, Ink::Strong, &self.title);
        let heading = format!("{prefix} {title}");
        match paper.columns {
            Some(columns) => truncate_str(&heading, columns, "…").into_owned(),
            None => heading,
        }
    }

    /// It cannot start before other stages are done.
    pub(super) fn is_waiting(&self) -> bool {
        self.started.is_none() && !self.waits_for.is_empty()
    }

    /// It goes on now.
    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && self.ended.is_none() && !self.failed
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

    /// What is told of a step that is not in the cache; nothing where no layer was expected of it anyway.
    pub(super) fn missed(&self, reasons: &[String]) -> Vec<String> {
        match self.expectation {
            Expectation::Run => reasons
                .iter()
                .map(|reason| format!("not cached: {reason}"))
                .collect(),
            _ => Vec::new(),
        }
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

    /// The last lines of its output, after a word about those that are left out.
    pub(super) fn last_lines(&self) -> Vec<String> {
        let left_out = (self.forgotten > 0).then(|| match self.forgotten {
            1 => "(1 line left out)".to_owned(),
            count => format!("({count} lines left out)"),
        });
        left_out
            .into_iter()
            .chain(self.tail.iter().cloned())
            .collect()
    }

    pub(super) fn remember(&mut self, lines: &[String]) {
        self.tail.extend(lines.iter().cloned());
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.forgotten += surplus;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_cut_where_a_row_ends_and_only_there() {
        let title = "RUN apt-get update && apt-get install --yes make";
        let step = Step::new("[build 2/5]".to_owned(), "build", title, Expectation::Run);
        let heading = |columns| {
            step.heading(Paper {
                color: false,
                columns,
            })
        };
        assert_eq!(heading(None), format!("[build 2/5] {title}"));
        assert_eq!(heading(Some(30)), "[build 2/5] RUN apt-get updat…");
    }
}
