//! What the keys of recent builds were made from, kept for the next build to say why it misses.

mod model;
mod nearest;
mod why;

pub use model::{Fact, FileFact, Origin, Trail, TrailStage, TrailStep, Trails};
pub use nearest::Nearest;
pub use why::{changed, why};

/// The label of the note that holds trails.
pub(crate) const LABEL: &str = "dev.yadokari.cache.trails";
