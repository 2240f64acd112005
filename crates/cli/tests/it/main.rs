//! Tests of the command line: what was typed, what it means, what is shown.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside test functions"
)]

mod binary;
mod console;
mod docker_flags;
mod given;
mod help;
mod kaniko_flags;
mod refusals;
