//! What is known of files that earlier builds downloaded.

use serde::{Deserialize, Serialize};
use yadokari_image::Digest;

/// A file as an earlier download found it: enough to ask its server whether it is still the same, and to compute keys
/// without having it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDownload {
    /// When it was downloaded, RFC 3339.
    pub made: String,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// The server's `ETag`, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The server's `Last-Modified`, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// The label of the note that holds it.
pub(crate) const LABEL: &str = "dev.yadokari.cache.download";
