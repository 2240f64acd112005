//! A blob on its way here: checked as it passes, resumed where its connection broke.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use url::Url;
use yadokari_image::{Descriptor, Digest, Repository};

use crate::authorize::Scopes;
use crate::client::{Call, Inner, failed};
use crate::endpoint::{Endpoint, Purpose};
use crate::response::next_piece;
use crate::transport::Request;
use crate::{Cause, Operation, RegistryError};

/// A blob on its way, and what is needed to go on when it stops.
pub(crate) struct Download {
    inner: Arc<Inner>,
    repository: Repository,
    digest: Digest,
    size: u64,
    /// Places outside the registry that have the blob, too.
    urls: Vec<String>,
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
    /// Opens a blob at the first place that has it.
    pub(crate) async fn begin(
        inner: &Arc<Inner>,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Self, RegistryError> {
        let mut download = Self {
            inner: Arc::clone(inner),
            repository: repository.clone(),
            digest: descriptor.digest,
            size: descriptor.size,
            urls: descriptor.urls.clone().unwrap_or_default(),
            open: None,
            offset: 0,
            hasher: Sha256::new(),
            failures: 0,
        };
        download.reopen().await?;
        Ok(download)
    }

    /// The next bytes, `None` at the end of a blob that is what it should be.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
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
                Ok(None) if self.offset < self.size => {
                    let error = self.short();
                    self.pause(error).await?;
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

    /// The stream ended well, and early.
    fn short(&self) -> RegistryError {
        self.failed(Cause::SizeMismatch {
            expected: self.size,
            found: self.offset,
        })
    }

    fn finish(&mut self) -> Result<(), RegistryError> {
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
        let policy = self.inner.options.layer_tries();
        let Some(delay) = policy.delay(self.failures, &error) else {
            return Err(error);
        };
        tracing::warn!(%error, offset = self.offset, ?delay, "resuming");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), RegistryError> {
        let this = &*self;
        let found = this
            .inner
            .at_any_place(&this.repository, |endpoint| async move {
                this.open_at(&endpoint).await
            });
        let error = match found.await {
            Ok(open) => {
                self.open = Some(open);
                return Ok(());
            }
            Err(error) => error,
        };
        match self.open_elsewhere(&error).await {
            Some(open) => {
                self.open = Some(open);
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Layers that may not be distributed lie where their descriptor says, if the registry lacks them.
    async fn open_elsewhere(&self, error: &RegistryError) -> Option<Open> {
        if !error.is_not_found() {
            return None;
        }
        for url in &self.urls {
            match self.open_url(url).await {
                Ok(open) => return Some(open),
                Err(error) => tracing::warn!(%error, "a layer's other place"),
            }
        }
        None
    }

    async fn open_url(&self, url: &str) -> Result<Open, RegistryError> {
        let endpoint = Endpoint::new(&self.repository, Purpose::Pull);
        let operation = || Operation::PullBlob(self.digest);
        let policy = endpoint.retry(self.inner.options.tries(Purpose::Pull));
        policy
            .run(|| async {
                let response = self.inner.fetch_elsewhere(url, self.offset).await;
                let response = response.map_err(|cause| failed(&endpoint, operation(), cause))?;
                let skip = self.check_start(&response);
                Ok(Open {
                    skip: skip.map_err(|cause| failed(&endpoint, operation(), cause))?,
                    response,
                    endpoint: endpoint.clone(),
                    taken: 0,
                })
            })
            .await
    }

    async fn open_at(&self, endpoint: &Endpoint) -> Result<Open, RegistryError> {
        let call = Call {
            endpoint,
            operation: Operation::PullBlob(self.digest),
            scopes: Scopes::pull(&endpoint.repository),
        };
        let rest = format!("blobs/{}", self.digest);
        let answer = self.inner.call(&call, |contact| {
            from_offset(contact.url(&endpoint.repository, &rest), self.offset)
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

/// A GET of what comes after `offset` bytes.
pub(crate) fn from_offset(url: Url, offset: u64) -> Request<'static> {
    let request = Request::new(Method::GET, url);
    if offset == 0 {
        return request;
    }
    let range = HeaderValue::from_str(&format!("bytes={offset}-"));
    request.header(RANGE, range.expect("a number is plain text"))
}

/// The start in `Content-Range: bytes start-end/size`.
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (start, _) = value.strip_prefix("bytes ")?.split_once('-')?;
    start.trim().parse().ok()
}
