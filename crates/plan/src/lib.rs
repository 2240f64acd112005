//! What a build will do, decided before any of it is done.
//!
//! [`plan()`] evaluates a parsed Dockerfile: scopes and variables, the graph of stages, the
//! configuration every stage ends with, and for each step what it does to the files. It is a pure
//! function of the Dockerfile, a [`Request`] and the configurations of base images; while images are
//! missing it says which. [`keys`] computes the cache key of every step of a [`Plan`].
//!
//! Nothing here reads a file or talks to a registry. What a step reads from a build context is
//! asked of the [`Contents`] trait, digests only.

mod display;
mod epoch;
mod error;
mod graph;
mod hint;
mod ingredient;
mod key;
mod lint;
mod model;
mod outline;
mod paths;
mod planner;
mod remote;
mod scope;
mod stage;

pub use epoch::{Epoch, remote_of_stage};
pub use error::{Link, PlanError, PlanErrorKind};
pub use ingredient::{Ingredient, Taking};
pub use key::{ContentKey, Contents, Key, Keys, Salt, chained, key_of_listing, keys};
pub use model::{
    Base, BaseImage, Chmod, Copy, DEFAULT_PATH, Document, HistoryRow, ImageKey, ImageSource,
    NamedContext, Operation, Plan, Remote, Request, ResolvedImage, Run, RunMount, RunNetwork,
    Source, Stage, StageId, Step, Unpack, Workdir,
};
pub use planner::{ImageRequest, Images, Progress, plan};
