//! What can go wrong below a build root, always with the path it went wrong at.

use std::io;

use yadokari_layer::ReadError;
use yadokari_tree::{ApplyError, TreePath};

/// An operation the operating system refused, and where.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}")]
#[non_exhaustive]
pub struct DiskError {
    /// The verb, as in "cannot create /etc/passwd".
    pub operation: &'static str,
    /// The path inside the root.
    pub path: TreePath,
    /// What the operating system said.
    pub source: io::Error,
}

impl DiskError {
    pub(crate) fn new(operation: &'static str, path: &TreePath, source: io::Error) -> Self {
        Self {
            operation,
            path: path.clone(),
            source,
        }
    }
}

/// Why entries could not be put onto the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The operating system refused something.
    #[error(transparent)]
    Disk(#[from] DiskError),

    /// The entry does not fit into the tree.
    #[error(transparent)]
    Tree(#[from] ApplyError),

    /// The archive is broken, too large, or could not be read.
    #[error(transparent)]
    Archive(#[from] ReadError),

    /// The bytes of a file could not be read from where they come from.
    #[error("cannot read the content for {path}")]
    Content {
        /// The file that was being written.
        path: TreePath,
        /// What the source said.
        source: io::Error,
    },

    /// A file's content is not as long as its entry says.
    #[error("the content for {path} has {found} bytes instead of {expected}")]
    Length {
        /// The file that was being written.
        path: TreePath,
        /// Bytes the entry promises.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },

    /// The owner does not exist here: this process may not give files to it.
    #[error(
        "cannot give {path} to {uid}:{gid}: the id is not available to this user \
         (install uidmap and give the user a range in /etc/subuid and /etc/subgid, or run as root)"
    )]
    Owner {
        /// The file whose owner could not be set.
        path: TreePath,
        /// The user id asked for.
        uid: u32,
        /// The group id asked for.
        gid: u32,
        /// What the operating system said.
        source: io::Error,
    },

    /// A hard link's target has a type or place that no link can be made to.
    #[error("{path} is a hard link to {target}, which is not there")]
    LinkTarget {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },

    /// What an overlay wrote cannot be taken over.
    #[error(transparent)]
    Overlay(ScanError),
}

/// Why a directory tree could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The operating system refused something.
    #[error(transparent)]
    Disk(#[from] DiskError),

    /// A name or path on disk is not one a tree can hold.
    #[error("{name:?} in {directory} is no valid name")]
    Name {
        /// Where it was found.
        directory: TreePath,
        /// The name, made printable.
        name: String,
    },

    /// What an overlay wrote refers to data elsewhere.
    #[error(
        "{path} has the attribute {mark}: its overlay was mounted with an option that leaves data in the layer below"
    )]
    OverlayMark {
        /// The entry.
        path: TreePath,
        /// The attribute's name.
        mark: String,
    },
}

/// Why one root could not be copied to another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source could not be read.
    #[error("while reading the source root")]
    Source(#[source] DiskError),

    /// The copy could not be written.
    #[error("while writing the copied root")]
    Target(#[source] UnpackError),
}

/// Attaches the operation and path to an I/O result.
pub(crate) trait At<T> {
    fn at(self, operation: &'static str, path: &TreePath) -> Result<T, DiskError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, operation: &'static str, path: &TreePath) -> Result<T, DiskError> {
        self.map_err(|source| DiskError::new(operation, path, source))
    }
}
