//! What is left of a build: images in registries, archives and layouts, in a container engine, and files.

pub(crate) mod assemble;
pub(crate) mod disk;
pub(crate) mod early;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod places;
pub(crate) mod publish;
