//! Blobs: streamed, checked, and resumed where a connection broke.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;
use yadokari_image::{Descriptor, Digest, Reference, Repository};

use crate::authorize::Scopes;
use crate::client::{Call, Client, Inner, failed};
use crate::endpoint::{Endpoint, Purpose};
use crate::response::next_piece;
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
        let mut download = Download {
            inner: Arc::clone(&self.inner),
            repository: repository.clone(),
            digest: descriptor.digest,
            size: descriptor.size,
            open: None,
            offset: 0,
            hasher: Sha256::new(),
            failures: 0,
        };
        download.reopen().await?;
        let pieces = futures::stream::try_unfold(download, |mut download| async {
            match download.next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, download))),
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        });
        Ok(BlobReader(StreamReader::new(Box::pin(pieces))))
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

    /// Whether a blob is there already and need not be pushed.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry does not say.
    pub async fn blob_exists(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<bool, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Push);
        Ok(self.find_blob(&endpoint, digest).await?.is_some())
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

/// A blob on its way, and what is needed to go on when it stops.
struct Download {
    inner: Arc<Inner>,
    repository: Repository,
    digest: Digest,
    size: u64,
    open: Option<Open>,
    /// Bytes taken so far.
    offset: u64,
    hasher: Sha256,
    /// Breaks since the last good stretch.
    failures: u32,
}

struct Open {
    response: Response,
    endpoint: Endpoint,
    /// Bytes to throw away, because the place sends the blob from its start.
    skip: u64,
    taken: u64,
}

impl Download {
    /// The next bytes, `None` at the end of a blob that is what it should be.
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let patience = self.inner.transport.patience();
            let Some(open) = &mut self.open else {
                self.reopen().await?;
                continue;
            };
            match next_piece(&mut open.response, patience).await {
                Ok(Some(mut piece)) => {
                    let skipped = open.skip.min(piece.len() as u64);
                    open.skip -= skipped;
                    piece.advance(usize::try_from(skipped).unwrap_or(piece.len()));
                    if !piece.is_empty() {
                        return self.take(piece).map(Some);
                    }
                }
                Ok(None) => return self.finish().map(|()| None),
                Err(cause) => {
                    let error = failed(&open.endpoint, Operation::PullBlob(self.digest), cause);
                    self.pause(error).await?;
                }
            }
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, RegistryError> {
        /// A stretch that is long enough to say that the connection works again.
        const GOOD: u64 = 1024 * 1024;
        let length = piece.len() as u64;
        self.offset += length;
        if self.offset > self.size {
            return Err(self.failed(Cause::SizeMismatch {
                expected: self.size,
                found: self.offset,
            }));
        }
        if let Some(open) = &mut self.open {
            open.taken += length;
            if open.taken >= GOOD {
                self.failures = 0;
            }
        }
        self.hasher.update(&piece);
        Ok(piece)
    }

    fn finish(&mut self) -> Result<(), RegistryError> {
        if self.offset < self.size {
            return Err(self.failed(Cause::SizeMismatch {
                expected: self.size,
                found: self.offset,
            }));
        }
        let found = Digest::from_sha256(self.hasher.clone().finalize().into());
        if found == self.digest {
            return Ok(());
        }
        Err(self.failed(Cause::DigestMismatch {
            expected: self.digest,
            found,
        }))
    }

    /// Waits before the next try, or gives the error back if there is none.
    async fn pause(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.open = None;
        self.failures += 1;
        let Some(delay) = self.inner.options.retry.delay(self.failures, &error) else {
            return Err(error);
        };
        tracing::warn!(%error, offset = self.offset, ?delay, "resuming");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), RegistryError> {
        let mut last = None;
        for (at, endpoint) in self.inner.pull_endpoints(&self.repository) {
            match self.open_at(&endpoint).await {
                Ok(open) => {
                    self.inner.prefer(&self.repository, at);
                    self.open = Some(open);
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is always a place to pull from"))
    }

    async fn open_at(&self, endpoint: &Endpoint) -> Result<Open, RegistryError> {
        let call = Call {
            endpoint,
            operation: Operation::PullBlob(self.digest),
            scopes: Scopes::pull(&endpoint.repository),
        };
        let rest = format!("blobs/{}", self.digest);
        let range = HeaderValue::from_str(&format!("bytes={}-", self.offset));
        let range = range.expect("a number is plain text");
        let answer = self.inner.call(&call, |contact| {
            let request = Request::new(Method::GET, contact.url(&endpoint.repository, &rest));
            match self.offset {
                0 => request,
                _ => request.header(RANGE, range.clone()),
            }
        });
        let response = answer.await?;
        let skip = self
            .check_start(&response)
            .map_err(|cause| call.failed(cause))?;
        Ok(Open {
            response,
            endpoint: endpoint.clone(),
            skip,
            taken: 0,
        })
    }

    /// How many bytes of the answer were taken before, once its length is seen to fit.
    fn check_start(&self, response: &Response) -> Result<u64, Cause> {
        let partial = response.status() == StatusCode::PARTIAL_CONTENT;
        let start = if partial { self.offset } else { 0 };
        if partial && range_start(response) != Some(start) {
            return Err(Cause::Protocol {
                what: "a range was asked for and another one sent",
            });
        }
        match response.content_length() {
            Some(length) if start + length != self.size => Err(Cause::SizeMismatch {
                expected: self.size,
                found: start + length,
            }),
            _ => Ok(self.offset - start),
        }
    }

    fn failed(&self, cause: Cause) -> RegistryError {
        let endpoint = match &self.open {
            Some(open) => open.endpoint.clone(),
            None => Endpoint::new(&self.repository, Purpose::Pull),
        };
        failed(&endpoint, Operation::PullBlob(self.digest), cause)
    }
}

/// The start in `Content-Range: bytes start-end/size`.
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
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
