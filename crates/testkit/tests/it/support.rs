//! What the end-to-end tests share: projects to build, and the CI job that builds them.

pub(crate) mod job;
pub(crate) mod packages;
pub(crate) mod pair;
pub(crate) mod project;
pub(crate) mod python;
pub(crate) mod refusing;
pub(crate) mod steps;
