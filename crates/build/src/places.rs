//! What a build reads and writes on this machine at its end or in the middle, looked at before it begins.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::error::{BuildError, BuildErrorKind};
use crate::outputs::places;
use crate::request::{BuildRequest, SecretSource, Secrets};

/// Looks whether the files of secrets can be read and the results on disk can be written. Nothing is opened or made.
///
/// # Errors
///
/// [`BuildErrorKind::SecretFile`] or [`BuildErrorKind::Output`] for the first that cannot.
pub fn check_places(request: &BuildRequest) -> Result<(), BuildError> {
    check_secrets(&request.secrets)?;
    places::check(&request.outputs)
}

/// Docker refuses a secret without a file whether anything needs it or not.
fn check_secrets(secrets: &Secrets) -> Result<(), BuildError> {
    for (id, source) in &secrets.values {
        if let SecretSource::File(path) = source {
            readable(path).map_err(|source| unreadable(id, path, source))?;
        }
    }
    Ok(())
}

/// A pipe is a file too, and opening one may wait for whoever writes to it.
fn readable(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(path, Access::READ_OK)?)
}

/// The file of a secret cannot be read.
pub(crate) fn unreadable(id: &str, path: &Path, source: io::Error) -> BuildError {
    BuildErrorKind::SecretFile {
        id: id.to_owned(),
        path: path.to_owned(),
        source,
    }
    .into()
}
