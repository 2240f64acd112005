//! One JSON object per line, for machines.

use std::io::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};
use yadokari_build::{Expectation, Outcome, PlannedStep, StepId};
use yadokari_dockerfile::Warning;
use yadokari_image::Digest;
use yadokari_sandbox::Stream;

use super::Moment;
use super::steps::Steps;
use super::summary::Ending;
use crate::convert::{ConsoleSettings, Verbosity};
use crate::report::Excerpt;

/// Writes what happens as JSON lines, each with `time`, `level`, `event` and what belongs to it.
pub(super) struct Json {
    settings: ConsoleSettings,
    out: Box<dyn Write + Send>,
    steps: Steps,
    now: Moment,
}

impl Json {
    pub(super) fn new(settings: ConsoleSettings, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            out,
            steps: Steps::default(),
            now: Moment::default(),
        }
    }

    pub(super) fn at(&mut self, now: Moment) -> &mut Self {
        self.now = now;
        self
    }

    pub(super) fn planned(&mut self, steps: &[PlannedStep]) {
        self.steps.plan(steps);
        let step = |step: &PlannedStep| {
            let expected = match step.expectation {
                Expectation::Run => "run",
                Expectation::Cached => "cached",
                Expectation::Metadata => "metadata",
                Expectation::Skipped => "skipped",
            };
            let line = step.span.map(|span| span.first_line);
            json!({"stage": step.stage, "step": step.id.step, "title": step.title, "line": line, "expected": expected})
        };
        let steps: Vec<_> = steps.iter().map(step).collect();
        self.write(Verbosity::Info, "planned", json!({ "steps": steps }));
    }

    pub(super) fn lint(&mut self, warning: &Warning, excerpt: Option<&Excerpt>) {
        let fields = json!({
            "rule": warning.rule.name(),
            "message": warning.message,
            "file": excerpt.map(|excerpt| &excerpt.file),
            "line": warning.span.first_line,
        });
        self.write(Verbosity::Warn, "lint", fields);
    }

    pub(super) fn message(&mut self, level: Verbosity, message: &str) {
        self.write(level, "message", json!({ "message": message }));
    }

    pub(super) fn step(&mut self, event: &str, id: StepId, mut more: Value) {
        let step = self.steps.step(id);
        let (prefix, title) = (step.prefix.clone(), step.title.clone());
        if let Value::Object(fields) = &mut more {
            fields.insert("step".to_owned(), json!(prefix));
            fields.insert("title".to_owned(), json!(title));
        }
        self.write(Verbosity::Info, event, more);
    }

    pub(super) fn output(&mut self, id: StepId, stream: Stream, bytes: &[u8]) {
        let name = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        for line in self.steps.step(id).output(stream, bytes) {
            self.step("output", id, json!({"stream": name, "line": line}));
        }
    }

    pub(super) fn finished(&mut self, id: StepId, outcome: Outcome, took: Duration) {
        self.rest(id);
        let seconds = took.as_secs_f64();
        let more = match outcome {
            Outcome::Ran { changes } => {
                json!({"outcome": "ran", "seconds": seconds, "changes": changes})
            }
            Outcome::Cached => json!({"outcome": "cached", "seconds": seconds}),
            Outcome::Metadata => json!({"outcome": "metadata", "seconds": seconds}),
        };
        self.step("finished", id, more);
    }

    pub(super) fn failed(&mut self, id: StepId) {
        self.rest(id);
        self.step("failed", id, json!({}));
    }

    pub(super) fn layer(&mut self, id: StepId, size: u64) {
        self.steps.step(id).layer = Some(size);
        self.step("layer", id, json!({ "bytes": size }));
    }

    fn rest(&mut self, id: StepId) {
        for line in self.steps.step(id).rest() {
            self.step("output", id, json!({ "line": line }));
        }
    }

    pub(super) fn transfer(&mut self, event: &str, fields: Value) {
        self.write(Verbosity::Info, event, fields);
    }

    pub(super) fn published(&mut self, place: &str, digest: Digest) {
        self.write(
            Verbosity::Info,
            "published",
            json!({"place": place, "digest": digest.to_string()}),
        );
    }

    pub(super) fn summary(&mut self, ending: Ending) {
        let mut fields = json!({"seconds": ending.took.as_secs_f64()});
        if let Some((built, all)) = ending.partly {
            fields["targets"] = json!(built);
            fields["of"] = json!(all);
        }
        self.write(Verbosity::Info, "built", fields);
    }

    /// Writes a failure: the same facts as the text has.
    pub(super) fn error(&mut self, fields: Value) {
        self.write(Verbosity::Error, "error", fields);
    }

    fn write(&mut self, level: Verbosity, event: &str, fields: Value) {
        if level > self.settings.verbosity || (self.settings.quiet && level > Verbosity::Warn) {
            return;
        }
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(self.now.to_string()));
        line.insert("level".to_owned(), json!(level.name()));
        line.insert("event".to_owned(), json!(event));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        // A closed log must not end the build.
        let _ = writeln!(self.out, "{}", Value::Object(line));
    }
}
