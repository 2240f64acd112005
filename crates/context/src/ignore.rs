//! Which file says what a context leaves out.

use std::io;

use yadokari_tree::TreePath;

use crate::build_context::{BuildContext, ContextError, ContextKind};

/// An ignore file, not read as patterns yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoreFile {
    /// Its name, for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The largest ignore file that is read, in bytes.
pub(crate) const IGNORE_LIMIT: u64 = 4 << 20;

/// Chooses the ignore file of a context.
///
/// `own` is the one beside the Dockerfile, named after it; it replaces the general one
/// even if it is empty. A named context has none of its own. Contexts that were
/// downloaded or cloned are complete as they are and ignore nothing.
///
/// # Errors
///
/// If `.dockerignore` is there and cannot be read.
pub fn ignore_file(
    context: &BuildContext,
    own: Option<&IgnoreFile>,
) -> Result<Option<IgnoreFile>, ContextError> {
    if matches!(context.kind(), ContextKind::Git | ContextKind::Http) {
        return Ok(None);
    }
    match own {
        Some(own) => Ok(Some(own.clone())),
        None => read(context, DOCKERIGNORE),
    }
}

const DOCKERIGNORE: &str = ".dockerignore";

/// Reads an ignore file of the context, if it is there.
pub(crate) fn read(context: &BuildContext, name: &str) -> Result<Option<IgnoreFile>, ContextError> {
    let path = TreePath::parse(name);
    match context.root().read_file(&path, IGNORE_LIMIT) {
        Ok(bytes) => Ok(Some(IgnoreFile {
            name: name.to_owned(),
            bytes,
        })),
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(ContextError::Read { path, source }),
    }
}

/// Tells whether an error means that there is no such file.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
