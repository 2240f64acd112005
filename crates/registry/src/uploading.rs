//! A blob on its way to a registry: whole where that works, in pieces where it does not, from where it broke off.

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, Response};
use url::Url;
use yadokari_image::Digest;

use crate::client::{Call, Client, with_query};
use crate::endpoint::Purpose;
use crate::transport::{Payload, Request, location};
use crate::{Cause, RegistryError, Source};

/// Where a registry expects the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) location: Url,
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
const SMALLEST_PIECE: u64 = 256 * 1024;

impl Place {
    /// Reads the answer to the beginning of an upload.
    pub(crate) fn begun(response: &Response) -> Result<Self, Cause> {
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
pub(crate) struct Upload<'a> {
    client: &'a Client,
    call: Call<'a>,
    digest: Digest,
    size: u64,
    source: &'a dyn Source,
    place: Option<Place>,
    mode: Mode,
    /// Whether the registry's word was taken for what it has already.
    resumed: bool,
}

impl<'a> Upload<'a> {
    /// An upload that begins, or goes on at `place`.
    pub(crate) fn new(
        client: &'a Client,
        call: Call<'a>,
        blob: (Digest, u64),
        source: &'a dyn Source,
        place: Option<Place>,
    ) -> Self {
        let (digest, size) = blob;
        Self {
            client,
            call,
            digest,
            size,
            source,
            place,
            mode: Mode::Whole,
            resumed: false,
        }
    }

    /// Sends the blob, as often and in such pieces as it takes.
    pub(crate) async fn run(&mut self) -> Result<(), RegistryError> {
        let policy = self.client.inner.options.tries(Purpose::Push);
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
            let misjudged = self.resumed && is_wrong_digest(&error);
            let passing = error.is_retryable() || lost_session(&error) || misjudged;
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
            if misjudged {
                self.place = None;
                self.resumed = false;
            }
            self.resume().await;
            if failures > 1 && !error.is_refusal() {
                self.send_less();
            }
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

    /// Sends less at once: the connection broke more than once at the same byte.
    fn send_less(&mut self) {
        let piece = match self.mode {
            Mode::Whole => self.client.inner.options.chunk_size.min(self.size / 2),
            Mode::Pieces(piece) => piece / 2,
        };
        if piece >= SMALLEST_PIECE {
            self.mode = Mode::Pieces(piece);
        }
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
                received(&response).filter(|received| (2..=self.size).contains(received))
        {
            // A single byte is not believed: registries write `0-0` for none at all, too.
            self.resumed = true;
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

/// Whether the registry says that what it got has another digest.
fn is_wrong_digest(error: &RegistryError) -> bool {
    matches!(&*error.cause, Cause::Rejected { status: 400, code: Some(code), .. } if code == "DIGEST_INVALID")
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
