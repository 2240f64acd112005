//! What each subcommand does.

pub mod bake;
pub mod build;
pub mod cache;
pub mod completions;
pub mod doctor;
pub mod gitlab;
pub mod login;
pub mod man;
pub mod plan;
pub mod reference;

use std::io::{self, ErrorKind, Write};

use crate::report::Failure;

/// Where results go.
pub type Stdout<'a> = dyn Write + 'a;

/// A reader that stops reading, as `head` does, is no failure.
fn ignore_broken_pipe(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::told(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
