//! Walks a plan: schedules stages, runs steps, makes layers, publishes the image.
//!
//! [`build()`] takes a [`BuildRequest`], which is everything that was asked for, and [`Services`], which
//! is everything it works with, and tells an [`Events`] implementation what happens. [`plan()`] stops
//! before anything runs and [`check()`] before anything is fetched.
//!
//! Stages that do not depend on one another run at the same time. A stage's files are known as a tree
//! and written to disk only when a RUN needs them; layers are compressed while later steps run.

mod bases;
mod blocking;
mod cache_mounts;
mod caching;
mod cancel;
mod checks;
mod copy;
mod drive;
mod error;
mod events;
mod meter;
mod movable;
mod outputs;
mod places;
mod planned;
mod prepare;
mod request;
mod services;
mod ssh;
mod stage;
mod state;
mod step;
mod time;
mod trace;
mod transfers;
mod turns;
mod users;
mod work;

pub use bases::{StoredBase, stored_bases};
pub use checks::{Checked, check};
pub use copy::{CopyFailure, ExtractFailure};
pub use drive::{Built, build};
pub use error::{BuildError, BuildErrorKind, Location, SourceFile};
pub use events::{Event, Events, Expectation, Outcome, PlannedStep, StepId};
pub use outputs::engine::{Engine, EngineError};
pub use outputs::places::{OutputFailure, check_file};
pub use places::check_places;
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
