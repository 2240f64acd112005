//! What a build has from caches, and what it leaves in them.
//!
//! Before the first step, [`lookup`] asks every place for every key, [`standing`] keeps the answers that fit on one
//! another, [`image_match`] adds layers of ordinary images, and [`explain`] says why a step has none. While steps run,
//! [`rekey`] asks again where another stage's files turned out as before, [`record`] writes what is new, and
//! [`listing`] knows the files of base images.

pub(crate) mod explain;
pub(crate) mod image_match;
pub(crate) mod listing;
pub(crate) mod lookup;
pub(crate) mod record;
pub(crate) mod rekey;
pub(crate) mod standing;
