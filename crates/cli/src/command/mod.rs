//! What each subcommand does.

pub mod bake;
pub mod build;
pub mod cache;
pub mod completions;
pub mod doctor;
pub mod gitlab;
pub mod lint;
pub mod login;
pub mod man;
mod placeless;
pub mod plan;
pub mod reference;

use std::io::{self, ErrorKind, Write};

use crate::report::Failure;

/// Where results go.
pub type Stdout<'a> = dyn Write + 'a;

/// Prints a result to its last byte: what stays in a buffer when the program ends is lost in silence.
///
/// # Errors
///
/// It cannot be written.
pub(crate) fn print(stdout: &mut Stdout<'_>, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let written = stdout.write_all(bytes.as_ref());
    printed(written.and_then(|()| stdout.flush()))
}

/// What became of printing. A reader that stops reading, as `head` does, is no failure.
pub(crate) fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::told(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
