//! Blobs: opened for reading, and looked for.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, Response};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;
use yadokari_image::{Descriptor, Digest, Reference, Repository};

use crate::authorize::Scopes;
use crate::client::{Call, Client, failed};
use crate::download::Download;
use crate::endpoint::{Endpoint, Purpose};
use crate::transport::Request;
use crate::{Cause, Operation, RegistryError};

/// A blob as it comes from a registry.
///
/// Digest and size are checked at the end of the stream: a reader that stops
/// earlier has unchecked bytes. A failed check is an [`io::Error`] that holds a
/// [`RegistryError`].
pub struct BlobReader(StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>);

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobReader")
    }
}

impl AsyncRead for BlobReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Client {
    /// Opens a blob for reading, at a mirror if there is one.
    ///
    /// A connection that breaks is resumed where it broke, at any of the places that
    /// hold the repository.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] of the last place that was asked, if the blob cannot be opened.
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobReader, RegistryError> {
        let download = Download::begin(&self.inner, repository, descriptor).await?;
        let pieces = futures::stream::try_unfold(download, |mut download| async {
            match download.next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, download))),
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        });
        Ok(BlobReader(StreamReader::new(Box::pin(pieces))))
    }

    /// How long to wait before a download that gave wrong bytes is begun again; `None` if it is not.
    ///
    /// `error` is what reading a [`BlobReader`] to its end came to, with its causes; `attempt` counts from 1.
    /// Breaks are none of the caller's business: the reader mends them.
    #[must_use]
    pub fn wait_for_another_copy(
        &self,
        attempt: u32,
        error: &(dyn std::error::Error + 'static),
    ) -> Option<Duration> {
        let error = registry_error(error).filter(|error| error.is_wrong_content())?;
        let policy = self.inner.options.layer_tries();
        policy.delay(attempt, error)
    }

    /// The size of a blob in bytes, `None` if it does not exist. Mirrors are not asked.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; also when the registry does not say the size.
    pub async fn blob_size(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<Option<u64>, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Pull);
        let Some(response) = self.find_blob(&endpoint, digest).await? else {
            return Ok(None);
        };
        let size = response.headers().get(CONTENT_LENGTH);
        let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
        let unknown = Cause::Protocol {
            what: "a blob has no Content-Length",
        };
        let operation = Operation::FindBlob(digest);
        size.map(Some)
            .ok_or_else(|| failed(&endpoint, operation, unknown))
    }

    /// Whether a blob is there already and need not be pushed. What is known is not asked again.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry does not say.
    pub async fn blob_exists(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<bool, RegistryError> {
        if self.inner.held.has(repository, digest) {
            return Ok(true);
        }
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let found = self.find_blob(&endpoint, digest).await?.is_some();
        if found {
            self.inner.held.note(repository, digest);
        }
        Ok(found)
    }

    /// The repositories that a repository is pulled from: its mirrors, and itself.
    #[must_use]
    pub fn pull_places(&self, repository: &Repository) -> Vec<Repository> {
        let places = self.inner.pull_endpoints(repository);
        places
            .into_iter()
            .map(|(_, endpoint)| endpoint.repository)
            .collect()
    }

    /// Other repositories of the same registry that this client has seen a blob in, or pushed it to.
    #[must_use]
    pub fn holders(&self, repository: &Repository, digest: Digest) -> Vec<Repository> {
        let mut places = self.inner.held.on(repository.registry(), digest);
        places.retain(|place| place != repository);
        places
    }

    async fn find_blob(
        &self,
        endpoint: &Endpoint,
        digest: Digest,
    ) -> Result<Option<Response>, RegistryError> {
        let scopes = match endpoint.purpose {
            Purpose::Pull => Scopes::pull(&endpoint.repository),
            Purpose::Push => Scopes::push(&endpoint.repository),
        };
        let call = Call {
            endpoint,
            operation: Operation::FindBlob(digest),
            scopes,
        };
        let answer = self.inner.call(&call, |contact| {
            let url = contact.url(&endpoint.repository, &format!("blobs/{digest}"));
            Request::new(Method::HEAD, url)
        });
        match answer.await {
            Ok(response) => Ok(Some(response)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The registry's error among an error's causes.
fn registry_error<'a>(
    mut error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a RegistryError> {
    loop {
        if let Some(found) = error.downcast_ref::<RegistryError>() {
            return Some(found);
        }
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        error = match inside {
            Some(inside) => inside,
            None => error.source()?,
        };
    }
}

/// Takes the registry's error out of one that came through a [`BlobReader`].
pub(crate) fn unwrap_error(
    error: io::Error,
    reference: &Reference,
    descriptor: &Descriptor,
) -> RegistryError {
    match error.downcast::<RegistryError>() {
        Ok(error) => error,
        Err(source) => {
            let endpoint = Endpoint::new(reference.name(), Purpose::Pull);
            let operation = Operation::PullBlob(descriptor.digest);
            failed(&endpoint, operation, Cause::Source { source })
        }
    }
}
