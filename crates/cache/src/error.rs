//! Why a cache could not be used.

use std::io;
use std::path::PathBuf;

use yadokari_image::DocumentError;
use yadokari_plan::Key;
use yadokari_registry::RegistryError;
use yadokari_store::{ExportError, InvalidImage, LayoutError, StoreError};

/// A cache that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The registry refused, or could not be reached.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The directory is no OCI layout, or damaged.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The directory is not there and cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The directory cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A blob cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The parts of a record do not agree.
    #[error(transparent)]
    Invalid(#[from] InvalidImage),
    /// What lies under the key is no manifest.
    #[error("the record {key} cannot be read")]
    Document {
        /// The key.
        key: Key,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// What lies under the key is an image, and no record.
    #[error("what the cache holds under {key} is no cache record: {reason}")]
    NoRecord {
        /// The key.
        key: Key,
        /// What is missing or wrong.
        reason: &'static str,
    },
    /// A note about earlier builds or downloads cannot be read.
    #[error("what the cache holds of earlier builds cannot be read: {reason}")]
    NoNote {
        /// What is missing or wrong.
        reason: String,
    },
}
