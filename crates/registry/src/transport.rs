//! One HTTP exchange: redirects, time limits, and which host sees credentials.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;
use url::Url;

use crate::endpoint::Purpose;
use crate::error::ConnectProblem;
use crate::proxy::Ways;
use crate::source::Reader;
use crate::tls::Certificates;
use crate::{Cause, ClientError, Options, Scope, Source, Timeouts, host};

/// The HTTP stack: one connection pool per set of TLS settings.
#[derive(Debug)]
pub(crate) struct Transport {
    certificates: Certificates,
    skip_tls_verify: Scope,
    ways: Ways,
    user_agent: String,
    timeouts: Timeouts,
    clients: Mutex<HashMap<Profile, reqwest::Client>>,
}

/// What tells TLS settings apart: the registry, if it has certificates of its own, and whether to verify.
type Profile = (Option<String>, bool);

/// A request that can be sent more than once.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload<'a>,
}

/// The body of a request.
#[derive(Clone)]
pub(crate) enum Payload<'a> {
    None,
    Bytes(Bytes),
    Piece {
        source: &'a dyn Source,
        offset: u64,
        length: u64,
    },
}

/// On whose behalf a request is made.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The registry as named by the user; decides TLS settings, also for its token server.
    pub(crate) registry: &'a str,
    pub(crate) purpose: Purpose,
}

/// A value for `Authorization`, and the place it may go to.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) value: HeaderValue,
    pub(crate) origin: url::Origin,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Payload::None,
        }
    }

    pub(crate) fn body(mut self, body: Payload<'a>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn header(mut self, name: reqwest::header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl Transport {
    pub(crate) fn new(options: &Options) -> Result<Self, ClientError> {
        let transport = Self {
            certificates: Certificates::load(&options.tls)?,
            skip_tls_verify: options.skip_tls_verify.clone(),
            ways: Ways::new(options)?,
            user_agent: user_agent(options.user_agent_suffix.as_deref()),
            timeouts: options.timeouts,
            clients: Mutex::default(),
        };
        transport.client((None, true))?;
        for registry in transport.certificates.registries() {
            transport.client((Some(registry.clone()), true))?;
        }
        Ok(transport)
    }

    /// The longest wait for an answer or a piece of one.
    pub(crate) fn patience(&self) -> Duration {
        self.timeouts.read
    }

    /// Sends a request, follows redirects and returns whatever answer comes.
    pub(crate) async fn send(
        &self,
        caller: Caller<'_>,
        request: &Request<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Cause> {
        const REDIRECTS: usize = 10;
        let mut url = request.url.clone();
        for _ in 0..REDIRECTS {
            let response = self.exchange(caller, request, &url, authorization).await?;
            match redirect(&response, &request.method, &url)? {
                None => return Ok(response),
                Some(next) => url = next,
            }
        }
        Err(Cause::Protocol {
            what: "too many redirects",
        })
    }

    async fn exchange(
        &self,
        caller: Caller<'_>,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Cause> {
        let progress = Arc::new(Progress::default());
        let mut builder = self
            .client_for(caller)
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(own) = authorization.filter(|own| own.origin == url.origin()) {
            builder = builder.header(AUTHORIZATION, own.value.clone());
        }
        builder = match &request.body {
            Payload::None if request.method.is_safe() || request.method == Method::DELETE => {
                builder
            }
            Payload::None => builder.header(CONTENT_LENGTH, 0),
            Payload::Bytes(bytes) => builder.body(bytes.clone()),
            Payload::Piece {
                source,
                offset,
                length,
            } => {
                let reader = source
                    .open(*offset)
                    .await
                    .map_err(|source| Cause::Source { source })?;
                let stream = counted(reader, *length, Arc::clone(&progress));
                builder
                    .header(CONTENT_LENGTH, *length)
                    .body(reqwest::Body::wrap_stream(stream))
            }
        };
        let patience = match request.body {
            Payload::Piece { .. } => self.timeouts.upload,
            _ => self.timeouts.read,
        };
        let began = Instant::now();
        let answer = watched(builder, &progress, patience).await;
        tell(&request.method, url, &answer, began.elapsed());
        match progress.failure() {
            Some(source) if answer.is_err() => Err(Cause::Source { source }),
            _ => answer.map_err(|cause| cause.through(|| self.ways.of(url))),
        }
    }

    fn client_for(&self, caller: Caller<'_>) -> reqwest::Client {
        let registry = host::canonical(caller.registry);
        let own = self
            .certificates
            .registries()
            .find(|named| host::canonical(named) == registry);
        let verify = !self.skip_tls_verify.covers(registry, caller.purpose);
        self.client((own.cloned(), verify))
            .or_else(|_| self.client((None, verify)))
            .expect("the same files gave a client when this transport was made")
    }

    fn client(&self, profile: Profile) -> Result<reqwest::Client, ClientError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&profile) {
            return Ok(client.clone());
        }
        let tls = self.certificates.config(profile.0.as_deref(), profile.1)?;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(&self.user_agent)
            .connect_timeout(self.timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Blobs are wanted as they are stored, whatever features other crates switch on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_proxy();
        for proxy in self.ways.list() {
            builder = builder.proxy(proxy);
        }
        let client = builder
            .build()
            .map_err(|source| ClientError::Http { source })?;
        clients.insert(profile, client.clone());
        Ok(client)
    }
}

pub(crate) fn user_agent(suffix: Option<&str>) -> String {
    let own = concat!("yadokari/", env!("CARGO_PKG_VERSION"));
    match suffix.map(|suffix| suffix.replace(|c: char| !(' '..='~').contains(&c), "")) {
        Some(suffix) if !suffix.is_empty() => format!("{own} {suffix}"),
        _ => own.to_owned(),
    }
}

/// Where an answer redirects to, if it does and the request may go there.
fn redirect(response: &Response, method: &Method, from: &Url) -> Result<Option<Url>, Cause> {
    let follows = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            method.is_safe()
        }
        _ => false,
    };
    if !follows {
        return Ok(None);
    }
    let target = location(response, from)?;
    let downgrade = from.scheme() == "https" && target.scheme() != "https";
    if downgrade || !matches!(target.scheme(), "http" | "https") {
        return Err(Cause::Redirect {
            target: without_query(&target),
        });
    }
    Ok(Some(target))
}

/// The `Location` of an answer to a request to `from`.
///
/// A registry behind a proxy often names itself with `http`; the same host is then
/// called by `https` all the same.
pub(crate) fn location(response: &Response, from: &Url) -> Result<Url, Cause> {
    let text = response.headers().get(LOCATION).ok_or(Cause::Protocol {
        what: "an answer lacks its Location header",
    })?;
    let invalid = Cause::Protocol {
        what: "a Location header is no URL",
    };
    let mut url = text
        .to_str()
        .ok()
        .and_then(|text| from.join(text).ok())
        .filter(Url::has_host)
        .ok_or(invalid)?;
    if from.scheme() == "https" && url.scheme() == "http" && url.host() == from.host() {
        // Neither call fails: the URL has a host, and both schemes are special.
        let _ = url.set_scheme("https");
        let _ = url.set_port(from.port());
    }
    Ok(url)
}

/// A URL for an error message: signed queries and passwords stay out of it.
pub(crate) fn without_query(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// How much of a body has been taken, and why there is no more of it.
#[derive(Default)]
struct Progress {
    taken: AtomicU64,
    failure: Mutex<Option<io::Error>>,
}

impl Progress {
    fn failure(&self) -> Option<io::Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Keeps the error for the report, and hands a copy to the HTTP stack.
    fn fail(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        copy
    }
}

/// Exactly `length` bytes of `reader`; fewer are an error.
fn counted(
    reader: Reader,
    length: u64,
    progress: Arc<Progress>,
) -> impl Stream<Item = io::Result<Bytes>> {
    let pieces = ReaderStream::with_capacity(reader.take(length), 256 * 1024);
    futures::stream::try_unfold((pieces, length), move |(mut pieces, left)| {
        let progress = Arc::clone(&progress);
        async move {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    progress
                        .taken
                        .fetch_add(piece.len() as u64, Ordering::Relaxed);
                    let left = left - piece.len() as u64;
                    Ok(Some((piece, (pieces, left))))
                }
                Some(Err(error)) => Err(progress.fail(error)),
                None if left == 0 => Ok(None),
                None => Err(progress.fail(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the source ends {left} bytes early"),
                ))),
            }
        }
    })
}

/// Tells those who look closer of a request. Queries may be signed and stay out of it.
fn tell(method: &Method, url: &Url, answer: &Result<Response, Cause>, took: Duration) {
    let (url, milliseconds) = (without_query(url), took.as_millis());
    match answer {
        Ok(answer) => {
            let status = answer.status().as_u16();
            tracing::debug!(%method, %url, status, milliseconds, "request");
        }
        Err(error) => {
            tracing::debug!(%method, %url, %error, milliseconds, "request without an answer");
        }
    }
}

/// Sends, as long as within each `patience` some of the body is taken or the answer comes.
async fn watched(
    builder: reqwest::RequestBuilder,
    progress: &Progress,
    patience: Duration,
) -> Result<Response, Cause> {
    let mut answer = std::pin::pin!(builder.send());
    let mut seen = 0;
    loop {
        match tokio::time::timeout(patience, &mut answer).await {
            Ok(answer) => return answer.map_err(classify),
            Err(_) => {
                let taken = progress.taken.load(Ordering::Relaxed);
                if taken == seen {
                    return Err(Cause::Silent { waited: patience });
                }
                seen = taken;
            }
        }
    }
}

/// Tells connections that never came about from those that broke.
pub(crate) fn classify(error: reqwest::Error) -> Cause {
    if !error.is_connect() {
        let source = error.without_url();
        return Cause::Interrupted { source };
    }
    let host = error
        .url()
        .and_then(Url::host_str)
        .unwrap_or_default()
        .to_owned();
    Cause::Connect {
        host,
        proxy: None,
        problem: connect_problem(&error),
        source: error.without_url(),
    }
}

/// Why no connection came about.
pub(crate) fn connect_problem(error: &reqwest::Error) -> ConnectProblem {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        if let Some(tls) = inner.unwrap_or(error).downcast_ref::<rustls::Error>() {
            return tls_problem(tls);
        }
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return ConnectProblem::Refused;
        }
        if error.to_string().contains("dns error") {
            return name_problem(error);
        }
        next = inner.or_else(|| error.source());
    }
    ConnectProblem::Other
}

/// A name server that does not answer may do so later; one that says no will not.
fn name_problem(error: &(dyn StdError + 'static)) -> ConnectProblem {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    if reason.contains("Temporary failure") || reason.contains("try again") {
        ConnectProblem::Other
    } else {
        ConnectProblem::UnknownHost
    }
}

fn tls_problem(error: &rustls::Error) -> ConnectProblem {
    use rustls::CertificateError::UnknownIssuer;
    match error {
        rustls::Error::InvalidCertificate(UnknownIssuer) => ConnectProblem::UntrustedCertificate,
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            ConnectProblem::UntrustedCertificate
        }
        rustls::Error::InvalidCertificate(_) => ConnectProblem::InvalidCertificate,
        rustls::Error::InvalidMessage(_) => ConnectProblem::NotTls,
        _ => ConnectProblem::Other,
    }
}
