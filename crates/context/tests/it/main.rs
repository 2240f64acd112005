//! Contexts fetched from real archives, repositories and directories.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod archives;
mod directories;
mod dockerfiles;
mod git;
mod git_library;
mod object_server;
mod objects;
mod support;
