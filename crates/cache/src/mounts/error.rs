//! Why a cache mount could not be kept or brought back.

use std::io;
use std::path::{Path, PathBuf};

use yadokari_image::{Descriptor, Digest, DocumentError};
use yadokari_registry::RegistryError;
use yadokari_rootfs::{ScanError, UnpackError};
use yadokari_store::{InvalidImage, LayoutError, StoreError};
use yadokari_tree::TreePath;

/// A cache mount that could not be saved or restored. The build goes on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The registry refused, or could not be reached.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The directory of saved mounts is damaged.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A blob cannot be written to the directory of saved mounts.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The parts of a record do not agree.
    #[error(transparent)]
    Invalid(#[from] InvalidImage),
    /// What lies under the tag is no manifest.
    #[error("the saved cache mount is no manifest")]
    Document(#[from] DocumentError),
    /// What lies under the tag is no record of a cache mount, or one that contradicts itself.
    #[error("the saved cache mount cannot be used: {reason}")]
    Record {
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// A chunk's bytes are not what the record says.
    #[error("the chunk {digest} of the saved cache mount is damaged")]
    Chunk {
        /// The digest of the blob.
        digest: Digest,
    },
    /// A blob broke off while it was read.
    #[error("cannot read the blob {digest}")]
    Blob {
        /// The blob.
        digest: Digest,
        /// What the source said.
        source: io::Error,
    },
    /// The record is larger than the limit.
    #[error("the saved cache mount holds {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Bytes in its files.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Files of the mount cannot be written.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Files of the mount cannot be listed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file of the mount cannot be read.
    #[error("cannot read {path} of the cache mount")]
    File {
        /// The file, from the mount's root.
        path: TreePath,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something kept writing to the mount while it was to be saved.
    #[error("{path} of the cache mount keeps changing")]
    Unstable {
        /// The file that was seen to change, from the mount's root.
        path: TreePath,
    },
    /// A directory of the state cannot be used.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl MountError {
    pub(crate) fn disk(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Disk { path, source }
    }

    pub(crate) fn blob(descriptor: &Descriptor, source: io::Error) -> Self {
        let digest = descriptor.digest;
        Self::Blob { digest, source }
    }

    pub(crate) const fn record(reason: &'static str) -> Self {
        Self::Record { reason }
    }
}
