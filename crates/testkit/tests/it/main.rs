//! The executor end to end, in unprivileged containers and on the machine, and the parts that make this possible.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test itself does"
)]

mod environments;
mod kaniko;
mod machine;
mod pages;
mod parts;
mod pipelines;
mod support;
mod systems;
