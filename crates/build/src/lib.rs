//! Walks a plan: schedules stages, runs steps, makes layers, publishes the image.
//!
//! [`build()`] takes a [`BuildRequest`], which is everything that was asked for, and [`Services`], which
//! is everything it works with, and tells an [`Events`] implementation what happens. [`plan()`] stops
//! before anything runs and [`check()`] before anything is fetched.
//!
//! Stages that do not depend on one another run at the same time. A stage's files are known as a tree
//! and written to disk only when a RUN needs them; layers are compressed while later steps run.

mod assemble;
mod bases;
mod blocking;
mod cache_mounts;
mod cancel;
mod checks;
mod copy;
mod drive;
mod engine;
mod epoch;
mod error;
mod events;
mod explain;
mod files;
mod image_match;
mod images;
mod inputs;
mod layers;
mod lookup;
mod meter;
mod output;
mod output_files;
mod pack;
mod planned;
mod prepare;
mod publish;
mod read_keys;
mod record;
mod rekey;
mod request;
mod schedule;
mod services;
mod single;
mod ssh;
mod stage;
mod standing;
mod state;
mod step;
mod time;
mod trace;
mod users;
mod warmed;
mod work;

pub use bases::{StoredBase, stored_bases};
pub use checks::{Checked, check};
pub use copy::{CopyFailure, ExtractFailure};
pub use drive::{Built, build};
pub use engine::{Engine, EngineError};
pub use error::{BuildError, BuildErrorKind, Location, SourceFile};
pub use events::{Event, Events, Expectation, Outcome, PlannedStep, StepId};
pub use planned::{Planned, explain, plan};
pub use request::{
    Annotations, BuildRequest, CacheLocation, CacheMountRequest, CacheRequest, CacheSource, Compat,
    Contexts, FileOutput, FileOutputKind, Format, GitOptions, GitPull, KeepMounts, MediaTypes,
    Network, NoCache, Outputs, RunDefaults, Secret, SecretSource, Secrets, SnapshotMethod,
    SnapshotRequest, Times,
};
pub use services::Services;
pub use ssh::{KeyError, SshError};
pub use time::Clock;
pub use users::UnknownAccount;
