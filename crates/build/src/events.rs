//! What happens during a build, told as it happens.
//!
//! The build calls [`Events::on`]; a terminal, a log file, JSON lines and a test recorder are implementations.

use std::time::Duration;

use yadokari_dockerfile::{Span, Warning};
use yadokari_image::Digest;

use crate::error::SourceFile;

/// Receives events; called from several threads.
pub trait Events: Send + Sync {
    /// Takes note of one event. Must not block for long: the build waits.
    fn on(&self, event: Event<'_>);
}

/// Identifies a step: its stage and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId {
    /// Index of the stage in the Dockerfile.
    pub stage: usize,
    /// Index of the step in the stage, the base being step 0.
    pub step: usize,
}

/// One thing that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The Dockerfile was read; what later events say of lines is about this file.
    Source(&'a SourceFile),
    /// A build check fired.
    Lint(&'a Warning),
    /// Something the user should know that is no build check.
    Notice(&'a str),
    /// The work ahead is known.
    Planned {
        /// All steps in the order of the file, with their titles.
        steps: &'a [PlannedStep],
    },
    /// A step cannot start before other stages are done.
    Waiting {
        /// The step.
        step: StepId,
        /// The names of those stages.
        stages: &'a [&'a str],
    },
    /// A step starts: what it reads from other stages is there.
    Started(StepId),
    /// Why a step that started is not in the cache, as far as the last build is known.
    Missed {
        /// The step.
        step: StepId,
        /// What is different, one thing each.
        reasons: &'a [String],
    },
    /// A RUN that started waits for its turn: commands run one at a time here.
    Queued(StepId),
    /// It is the turn of a RUN that was queued: its command starts.
    Running {
        /// The RUN.
        step: StepId,
        /// How long it waited.
        waited: Duration,
    },
    /// A RUN wrote something.
    Output {
        /// The RUN.
        step: StepId,
        /// Which of its streams.
        stream: yadokari_sandbox::Stream,
        /// What it wrote.
        bytes: &'a [u8],
    },
    /// A step ended well.
    Finished {
        /// The step.
        step: StepId,
        /// How it ended.
        outcome: Outcome,
        /// Wall time since it started, without the time in the queue.
        took: Duration,
    },
    /// A step failed; the error itself is the build's result.
    Failed(StepId),
    /// A step's layer is complete; for a step that ran this comes some time after its end.
    Layer {
        /// The step.
        step: StepId,
        /// Its compressed size in bytes.
        size: u64,
    },
    /// Bytes start to move.
    TransferStarted {
        /// Identifies the transfer in later events.
        id: u64,
        /// What moves, as `pulling debian:bookworm sha256:1234…`.
        label: &'a str,
        /// Bytes expected.
        total: u64,
    },
    /// Bytes moved since the start of the transfer.
    TransferProgress {
        /// The transfer.
        id: u64,
        /// Bytes so far.
        done: u64,
    },
    /// All bytes moved, or none had to.
    TransferFinished {
        /// The transfer.
        id: u64,
    },
    /// The image exists under this reference.
    Published {
        /// Where, as `registry/repository:tag` or a path.
        place: &'a str,
        /// The manifest's digest.
        digest: Digest,
    },
}

/// A step as announced by [`Event::Planned`].
#[derive(Debug, Clone)]
pub struct PlannedStep {
    /// The step.
    pub id: StepId,
    /// Name of its stage, `stage-N` when it has none.
    pub stage: String,
    /// The instruction as the file has it, on one line.
    pub title: String,
    /// Its lines in the Dockerfile; the base of a stage has its FROM.
    pub span: Option<Span>,
    /// What is expected to happen to it.
    pub expectation: Expectation,
}

/// What the plan expects of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// It will run.
    Run,
    /// Its result is in the cache.
    Cached,
    /// Only the image's configuration changes.
    Metadata,
    /// Nothing needs it.
    Skipped,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran.
    Ran {
        /// How many entries its layer has.
        changes: usize,
    },
    /// Its layer came from the cache.
    Cached,
    /// It changed the configuration only.
    Metadata,
}
