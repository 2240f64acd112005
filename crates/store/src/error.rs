//! What can go wrong with files of this crate, always with their path.

use std::io;
use std::path::{Path, PathBuf};

use yadokari_image::Digest;

/// A failure of the blob spool or of a file this crate writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The filesystem (or the user's quota) has no room left.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// The file that was being written.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// Any other failure of the operating system.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: `create`, `write`, `rename`.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// The source of a blob failed while it was read.
    #[error("cannot read the source of blob {digest}")]
    Source {
        /// The blob that was asked for.
        digest: Digest,
        /// The source's words.
        source: io::Error,
    },
    /// Bytes arrived that hash to something else.
    #[error("blob {expected} has the digest {found}")]
    DigestMismatch {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// More or fewer bytes arrived than were promised.
    #[error("blob {digest} has {found} bytes instead of {expected}")]
    SizeMismatch {
        /// The digest that was promised.
        digest: Digest,
        /// The promised size in bytes.
        expected: u64,
        /// How many bytes came; for a source that is too long, the count at which reading stopped.
        found: u64,
    },
    /// A blob that should be there is not.
    #[error("blob {digest} is not in {}", directory.display())]
    Missing {
        /// The blob that was asked for.
        digest: Digest,
        /// Where it was looked for.
        directory: PathBuf,
    },
}

impl StoreError {
    /// Tells whether there was no room left: retrying does not help, freeing space does.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// Gives an I/O result its path and the action that was tried.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::io(action, path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_full_quota_have_a_name_of_their_own() {
        for (number, full) in [(28, true), (122, true), (13, false), (5, false)] {
            let error = StoreError::io(
                "write",
                Path::new("/x"),
                io::Error::from_raw_os_error(number),
            );
            assert_eq!(error.is_disk_full(), full, "errno {number}");
            assert!(error.to_string().contains("/x"));
        }
    }
}
