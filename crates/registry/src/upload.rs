//! Pushing blobs: in one piece where that works, in several where it does not, and by mounting.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;
use yadokari_image::{Digest, Repository};

use crate::authorize::Scopes;
use crate::client::{Call, Client, with_query};
use crate::endpoint::{Endpoint, Purpose};
use crate::transport::{Payload, Request, location};
use crate::{Cause, Operation, RegistryError, Source};

/// What a registry did when asked to mount a blob.
#[derive(Debug)]
pub enum Mount {
    /// The blob is there now.
    Mounted,
    /// It has to be pushed; give this to [`Client::continue_upload`].
    Declined(UploadSession),
}

/// An upload that was begun, or is yet to be.
#[derive(Debug)]
pub struct UploadSession {
    repository: Repository,
    place: Option<Place>,
}

/// Where a registry expects the bytes.
#[derive(Debug, Clone)]
struct Place {
    location: Url,
    /// Bytes the registry has already.
    received: u64,
    /// The smallest piece that the registry takes, except for the last one.
    least: u64,
}

/// How the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// One PUT.
    Whole,
    /// PATCHes of so many bytes, then an empty PUT.
    Pieces(u64),
}

/// The smallest piece that is tried when a registry finds pieces too large.
const SMALLEST_PIECE: u64 = 1024 * 1024;

impl Client {
    /// Pushes a blob of `size` bytes, streaming it from `source`.
    ///
    /// The source is read in one request. If the registry refuses that, or the connection
    /// breaks, the rest goes in pieces of [`crate::Options::chunk_size`] from where the registry is.
    /// Whether the blob is there already is not asked before: see [`Client::blob_exists`].
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; [`Cause::Source`] if the source fails or is shorter than `size`.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        size: u64,
        source: &dyn Source,
    ) -> Result<(), RegistryError> {
        let session = UploadSession {
            repository: repository.clone(),
            place: None,
        };
        self.continue_upload(session, digest, size, source).await
    }

    /// Mounts a blob from another repository of the same registry.
    ///
    /// Registries may decline for any reason: then, and if the other repository may not be
    /// read, the blob has to be pushed, for which an upload may already be open.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry cannot be asked.
    pub async fn mount_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        from: &Repository,
    ) -> Result<Mount, RegistryError> {
        let declined = |place| {
            Ok(Mount::Declined(UploadSession {
                repository: repository.clone(),
                place,
            }))
        };
        if repository.registry() != from.registry() {
            return declined(None);
        }
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::MountBlob(digest),
            scopes: Scopes::mount(repository, from),
        };
        let answer = self.inner.call(&call, |contact| {
            let url = contact.url(repository, "blobs/uploads/");
            let url = with_query(url, "mount", &digest.to_string());
            Request::new(Method::POST, with_query(url, "from", from.path()))
        });
        match answer.await {
            Ok(response) if response.status() == StatusCode::CREATED => Ok(Mount::Mounted),
            Ok(response) => declined(Place::begun(&response).ok()),
            Err(error) if matches!(error.status(), Some(400..=405)) => declined(None),
            Err(error) => Err(error),
        }
    }

    /// Pushes a blob that could not be mounted; otherwise as [`Client::push_blob`].
    ///
    /// # Errors
    ///
    /// As [`Client::push_blob`].
    pub async fn continue_upload(
        &self,
        session: UploadSession,
        digest: Digest,
        size: u64,
        source: &dyn Source,
    ) -> Result<(), RegistryError> {
        let endpoint = Endpoint::new(&session.repository, Purpose::Push);
        let mut upload = Upload {
            client: self,
            call: push_call(&endpoint, Operation::PushBlob(digest)),
            digest,
            size,
            source,
            place: session.place,
            mode: Mode::Whole,
        };
        upload.run().await
    }

    /// Gives up an upload. The registry forgets it sooner or later in any case, so errors are not reported.
    pub async fn cancel_upload(&self, session: UploadSession) {
        if let Some(place) = session.place {
            let endpoint = Endpoint::new(&session.repository, Purpose::Push);
            let call = push_call(&endpoint, Operation::CheckPush);
            let answer = self.inner.call_once(&call, |_| {
                Request::new(Method::DELETE, place.location.clone())
            });
            if let Err(error) = answer.await {
                tracing::debug!(%error, "cancelling an upload");
            }
        }
    }

    /// Asks whether pushing to a repository is allowed, by beginning an upload and giving it up.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] as pushing would give it.
    pub async fn check_push(&self, repository: &Repository) -> Result<(), RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let call = push_call(&endpoint, Operation::CheckPush);
        let place = self.begin(&call).await?;
        let session = UploadSession {
            repository: repository.clone(),
            place: Some(place),
        };
        self.cancel_upload(session).await;
        Ok(())
    }

    async fn begin(&self, call: &Call<'_>) -> Result<Place, RegistryError> {
        let repository = &call.endpoint.repository;
        let answer = self.inner.call(call, |contact| {
            Request::new(Method::POST, contact.url(repository, "blobs/uploads/"))
        });
        Place::begun(&answer.await?).map_err(|cause| call.failed(cause))
    }
}

fn push_call(endpoint: &Endpoint, operation: Operation) -> Call<'_> {
    Call {
        endpoint,
        operation,
        scopes: Scopes::push(&endpoint.repository),
    }
}

impl Place {
    /// Reads the answer to the beginning of an upload.
    fn begun(response: &Response) -> Result<Self, Cause> {
        let least = response.headers().get("oci-chunk-min-length");
        Ok(Self {
            location: location(response, response.url())?,
            received: 0,
            least: least
                .and_then(|least| least.to_str().ok()?.parse().ok())
                .unwrap_or(0),
        })
    }
}

/// A blob on its way to a registry.
struct Upload<'a> {
    client: &'a Client,
    call: Call<'a>,
    digest: Digest,
    size: u64,
    source: &'a dyn Source,
    place: Option<Place>,
    mode: Mode,
}

impl Upload<'_> {
    async fn run(&mut self) -> Result<(), RegistryError> {
        let policy = self.client.inner.options.retry;
        let mut failures = 0;
        let mut furthest = 0;
        loop {
            let Err(error) = self.send().await else {
                return Ok(());
            };
            if self.change_mode(&error) {
                continue;
            }
            let reached = self.place.as_ref().map_or(0, |place| place.received);
            failures = if reached > furthest { 1 } else { failures + 1 };
            furthest = furthest.max(reached);
            let passing = error.is_retryable() || lost_session(&error);
            let delay = policy.delay(failures, &error);
            let delay =
                delay.or((passing && failures < policy.attempts).then_some(policy.base_delay));
            let Some(delay) = delay else {
                return Err(error);
            };
            tracing::warn!(%error, ?delay, "resuming the upload");
            tokio::time::sleep(delay).await;
            if self.arrived().await {
                return Ok(());
            }
            self.resume().await;
        }
    }

    /// Sends what is missing, beginning an upload if there is none.
    async fn send(&mut self) -> Result<(), RegistryError> {
        let place = match self.place.take() {
            Some(place) => place,
            None => self.client.begin(&self.call).await?,
        };
        self.place = Some(place.clone());
        match self.mode {
            Mode::Whole => self.put(&place, 0, self.size).await,
            Mode::Pieces(piece) => {
                self.patch(piece.max(place.least)).await?;
                let place = self.place.clone().unwrap_or(place);
                self.put(&place, self.size, 0).await
            }
        }
    }

    /// The closing PUT, with the bytes that have not been sent.
    async fn put(&self, place: &Place, offset: u64, length: u64) -> Result<(), RegistryError> {
        let url = with_query(place.location.clone(), "digest", &self.digest.to_string());
        let body = match length {
            0 => Payload::None,
            _ => self.piece(offset, length),
        };
        let answer = self.client.inner.call_once(&self.call, |_| {
            Request::new(Method::PUT, url.clone())
                .header(CONTENT_TYPE, OCTETS)
                .body(body.clone())
        });
        answer.await.map(drop)
    }

    async fn patch(&mut self, piece: u64) -> Result<(), RegistryError> {
        while let Some(place) = self
            .place
            .clone()
            .filter(|place| place.received < self.size)
        {
            let length = piece.min(self.size - place.received);
            let last = place.received + length - 1;
            let range = HeaderValue::from_str(&format!("{}-{last}", place.received));
            let range = range.expect("numbers are plain text");
            let answer = self.client.inner.call_once(&self.call, |_| {
                Request::new(Method::PATCH, place.location.clone())
                    .header(CONTENT_TYPE, OCTETS)
                    .header(CONTENT_RANGE, range.clone())
                    .body(self.piece(place.received, length))
            });
            let response = answer.await?;
            let received = received(&response).unwrap_or(last + 1);
            if received <= place.received || received > self.size {
                return Err(self.call.failed(Cause::Protocol {
                    what: "an upload does not advance",
                }));
            }
            let location = location(&response, response.url());
            self.place = Some(Place {
                location: location.map_err(|cause| self.call.failed(cause))?,
                received,
                ..place
            });
        }
        Ok(())
    }

    fn piece(&self, offset: u64, length: u64) -> Payload<'_> {
        Payload::Piece {
            source: self.source,
            offset,
            length,
        }
    }

    /// Goes over to pieces, or to smaller ones, if that is what the registry's refusal asks for.
    fn change_mode(&mut self, error: &RegistryError) -> bool {
        let next = match (self.mode, error.status()) {
            (Mode::Whole, Some(405 | 411 | 413 | 415 | 501)) => {
                self.client.inner.options.chunk_size
            }
            (Mode::Pieces(piece), Some(413)) if piece > SMALLEST_PIECE => piece / 2,
            _ => return false,
        };
        self.mode = Mode::Pieces(next.max(1));
        self.place = None;
        true
    }

    /// Whether the blob is there after all: the answer may have been lost, not the blob.
    async fn arrived(&self) -> bool {
        let repository = &self.call.endpoint.repository;
        matches!(
            self.client.blob_exists(repository, self.digest).await,
            Ok(true)
        )
    }

    /// Asks the registry how far it got; if it does not say, the next try starts over.
    async fn resume(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let pieces = Mode::Pieces(self.client.inner.options.chunk_size.max(1));
        let answer = self.client.inner.call_once(&self.call, |_| {
            Request::new(Method::GET, place.location.clone())
        });
        if let Ok(response) = answer.await
            && let Some(received) =
                received(&response).filter(|received| (1..=self.size).contains(received))
        {
            let location = location(&response, response.url()).unwrap_or(place.location);
            self.place = Some(Place {
                location,
                received,
                least: place.least,
            });
            self.mode = match self.mode {
                Mode::Whole => pieces,
                smaller => smaller,
            };
        } else if self.size > self.client.inner.options.chunk_size {
            self.mode = pieces;
        }
    }
}

/// Whether the registry no longer knows the upload, or is at another byte of it.
fn lost_session(error: &RegistryError) -> bool {
    matches!(error.status(), Some(404 | 416))
}

/// Bytes received, from `Range: 0-last`.
fn received(response: &Response) -> Option<u64> {
    let range = response.headers().get(RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (start, last) = range.split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    (start.trim() == "0").then_some(last.checked_add(1)?)
}

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
