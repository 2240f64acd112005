//! What the keys of recent builds were made from, kept for the next build to say why it misses.

mod image;
mod model;
mod nearest;
mod why;

pub use model::{Fact, FileFact, Origin, Trail, TrailStage, TrailStep, Trails};
pub use nearest::Nearest;
pub use why::{changed, why};

pub(crate) use image::{CONFIG_LIMIT, CREATED, image, read};
