//! Several images from one description: Compose files, and bake files in JSON or HCL.
//!
//! [`read()`] gives the [`Bake`] that files describe: targets by name, and groups of them. [`Bake::select`] and
//! `set` narrow and change it, [`Target::arguments`] says what the command line of each target's build would be, and
//! [`print`](Bake::print) shows it all as buildx does. Nothing here builds anything.

mod arguments;
mod compose;
mod error;
mod extends;
mod file;
mod hcl;
mod interpolate;
mod json;
mod node;
mod print;
mod read;
mod select;
mod set;
mod target;

pub use arguments::{Places, layout_output};
pub use error::BakeError;
pub use read::{Surroundings, read};
pub use select::Bake;
pub use target::{Secret, Target};
