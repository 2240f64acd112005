//! Walks a plan: schedules stages, runs steps, makes layers, publishes the image.
//!
//! [`build()`] takes a [`BuildRequest`], which is everything that was asked for, and [`Services`], which
//! is everything it works with, and tells an [`Events`] implementation what happens. [`plan()`] stops
//! before anything runs and [`check()`] before anything is fetched.
//!
//! Stages that do not depend on one another run at the same time. A stage's files are known as a tree
//! and written to disk only when a RUN needs them; layers are compressed while later steps run.

mod assemble;
mod blocking;
mod cancel;
mod checks;
mod copy;
mod drive;
mod error;
mod events;
mod files;
mod images;
mod inputs;
mod layers;
mod meter;
mod output;
mod pack;
mod planned;
mod publish;
mod read_keys;
mod record;
mod request;
mod schedule;
mod services;
mod single;
mod stage;
mod state;
mod step;
mod time;
mod users;
mod work;

pub use checks::{Checked, check};
pub use copy::{CopyFailure, ExtractFailure};
pub use drive::{Built, build};
pub use error::{BuildError, BuildErrorKind, Location, SourceFile};
pub use events::{Event, Events, Expectation, Outcome, PlannedStep, StepId};
pub use planned::{Planned, plan};
pub use request::{
    BuildRequest, CacheLocation, CacheRequest, Compat, Contexts, FileOutput, FileOutputKind,
    Format, GitOptions, MediaTypes, Network, NoCache, Outputs, RunDefaults, Secret, SecretSource,
    Secrets, SnapshotMethod, SnapshotRequest, Times,
};
pub use services::Services;
pub use time::Clock;
pub use users::UnknownAccount;
