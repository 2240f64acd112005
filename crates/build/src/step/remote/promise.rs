//! Files that are known before they are there.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;
use yadokari_context::{Download, HttpError, download, file_name, shown_url};
use yadokari_image::Digest;
use yadokari_tree::Timestamp;

use super::Fetched;
use crate::error::{BuildError, BuildErrorKind};
use crate::services::Services;

/// A file that is fetched when a step needs its bytes.
#[derive(Debug)]
pub(super) struct Promise {
    request: Download,
    pub(super) name: String,
    pub(super) digest: Digest,
    by: Promiser,
    kept: OnceCell<Arc<Fetched>>,
}

/// Who says what the file is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Promiser {
    /// The Dockerfile has its checksum.
    Checksum,
    /// The server says that it is what an earlier build found, last changed then.
    Server(Option<Timestamp>),
}

impl Promise {
    pub(super) fn new(request: Download, digest: Digest, by: Promiser) -> Self {
        Self {
            name: file_name(&request.url),
            request: Download {
                checksum: Some(digest),
                ..request
            },
            digest,
            by,
            kept: OnceCell::new(),
        }
    }

    /// When the server says the file was last changed, in seconds since 1970; no part of a key where a checksum is.
    pub(super) fn modified(&self) -> Option<i64> {
        match self.by {
            Promiser::Checksum => None,
            Promiser::Server(changed) => changed.map(|time| time.seconds),
        }
    }

    /// Fetches the file, which must be what was promised.
    ///
    /// # Errors
    ///
    /// [`BuildErrorKind::OtherDownload`] if the server sends another file than the one it said it has: then all that was
    /// planned with it is wrong, and the build is possible without believing that.
    pub(super) async fn keep(
        &self,
        services: &Services,
        scratch: &Path,
    ) -> Result<Arc<Fetched>, BuildError> {
        let fetched = self.kept.get_or_try_init(|| async {
            let file = download(&services.http, &self.request, scratch).await;
            let mut file = file.map_err(|error| self.broken(error))?;
            if let Promiser::Server(changed) = self.by {
                // The key was made with this time.
                file.last_modified = changed;
            }
            Ok::<_, BuildError>(Arc::new(Fetched::File(file)))
        });
        fetched.await.cloned()
    }

    fn broken(&self, error: HttpError) -> BuildError {
        match (self.by, error) {
            (Promiser::Server(_), HttpError::Checksum { found, expected }) => {
                BuildErrorKind::OtherDownload {
                    url: shown_url(&self.request.url),
                    expected,
                    found,
                }
                .into()
            }
            (_, error) => error.into(),
        }
    }
}
