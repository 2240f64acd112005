//! Carries git's requests over the caller's HTTP client.
//!
//! The library asks for blocking readers and writers. A request is sent when its answer is first
//! read: by then all of its body is written, since git's protocol over HTTP has no dialogue
//! within a request.

use std::any::Any;
use std::io::{self, BufRead, Cursor, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::runtime::Handle;
use url::{Origin, Url};

/// Credentials, and the only origin that gets them.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    pub(crate) origin: Origin,
    pub(crate) value: HeaderValue,
}

/// The HTTP side of a conversation with a git server.
#[derive(Debug)]
pub(crate) struct Web {
    client: Client,
    runtime: Handle,
    authorization: Option<Authorization>,
    /// Where the repository turned out to be.
    moved_to: Option<String>,
}

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    runtime: Handle,
    request: Option<RequestBuilder>,
    upload: Vec<u8>,
    response: Option<Response>,
}

type Shared = Arc<Mutex<Exchange>>;

/// The body of a request, while it is written.
#[derive(Debug)]
pub(crate) struct Upload(Shared);

/// The headers of an answer, one a line.
#[derive(Debug)]
pub(crate) struct Headers {
    exchange: Shared,
    lines: Option<Cursor<Vec<u8>>>,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Body {
    exchange: Shared,
    chunk: Bytes,
}

impl Web {
    pub(crate) fn new(
        client: Client,
        runtime: Handle,
        authorization: Option<Authorization>,
    ) -> Self {
        Self {
            client,
            runtime,
            authorization,
            moved_to: None,
        }
    }

    fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<Shared> {
        let url = Url::parse(url).map_err(gix::Error::from_error)?;
        let origin = url.origin();
        let mut request = self.client.request(method, url);
        for line in headers {
            if let Some((name, value)) = header(line.as_ref()) {
                request = request.header(name, value);
            }
        }
        let authorization = self.authorization.as_ref();
        if let Some(found) = authorization.filter(|found| found.origin == origin) {
            request = request.header(AUTHORIZATION, found.value.clone());
        }
        Ok(Arc::new(Mutex::new(Exchange {
            runtime: self.runtime.clone(),
            request: Some(request),
            upload: Vec::new(),
            response: None,
        })))
    }
}

impl Http for Web {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = Upload;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Headers, Body>> {
        let exchange = self.exchange(Method::GET, url, headers)?;
        let answered = with(&exchange, |exchange| Ok(exchange.answer()?.url().clone()));
        let answered = answered.map_err(gix::Error::from_error)?;
        self.moved_to = moved(url, base_url, &answered).map_err(gix::Error::from_error)?;
        Ok(GetResponse {
            headers: Headers::of(&exchange),
            body: Body::of(&exchange),
        })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Headers, Body, Upload>> {
        let exchange = self.exchange(Method::POST, url, headers)?;
        Ok(PostResponse {
            headers: Headers::of(&exchange),
            body: Body::of(&exchange),
            post_body: Upload(exchange),
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.moved_to.clone()
    }
}

impl Exchange {
    /// Sends the request, unless it is sent, and gives the answer.
    fn answer(&mut self) -> io::Result<&mut Response> {
        if let Some(request) = self.request.take() {
            let request = match self.upload.is_empty() {
                true => request,
                false => request.body(std::mem::take(&mut self.upload)),
            };
            let response = self.runtime.block_on(request.send()).map_err(told)?;
            if !response.status().is_success() {
                let status = response.status();
                return Err(io::Error::other(format!("the server answers {status}")));
            }
            self.response = Some(response);
        }
        let lost = || io::Error::other("the request failed before");
        self.response.as_mut().ok_or_else(lost)
    }

    fn chunk(&mut self) -> io::Result<Bytes> {
        let runtime = self.runtime.clone();
        let response = self.answer()?;
        loop {
            match runtime.block_on(response.chunk()).map_err(told)? {
                Some(chunk) if chunk.is_empty() => {}
                chunk => return Ok(chunk.unwrap_or_default()),
            }
        }
    }
}

fn with<T>(exchange: &Shared, work: impl FnOnce(&mut Exchange) -> io::Result<T>) -> io::Result<T> {
    work(&mut exchange.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The address is part of the message that this becomes a part of.
fn told(error: reqwest::Error) -> io::Error {
    io::Error::other(error.without_url())
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    Some((name.parse().ok()?, value.trim().parse().ok()?))
}

/// Follows a server that has moved, but not to where others could listen.
fn moved(asked: &str, base: &str, answered: &Url) -> io::Result<Option<String>> {
    if answered.as_str() == asked {
        return Ok(None);
    }
    let tail = asked.strip_prefix(base).unwrap_or_default();
    let safe = answered.scheme() == "https" || asked.starts_with("http://");
    match answered.as_str().strip_suffix(tail).filter(|_| safe) {
        Some(found) if !tail.is_empty() => Ok(Some(found.to_owned())),
        _ => {
            let text = format!("the server redirects to {answered}, which is not followed");
            Err(io::Error::other(text))
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        with(&self.0, |exchange| {
            exchange.upload.extend_from_slice(bytes);
            Ok(bytes.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Headers {
    fn of(exchange: &Shared) -> Self {
        let exchange = Arc::clone(exchange);
        Self {
            exchange,
            lines: None,
        }
    }

    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => with(&self.exchange, |exchange| {
                let headers = exchange.answer()?.headers();
                let line = |(name, value): (&HeaderName, &HeaderValue)| {
                    [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat()
                };
                Ok(Cursor::new(headers.iter().flat_map(line).collect()))
            })?,
        };
        Ok(self.lines.insert(lines))
    }
}

impl Read for Headers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(amount);
        }
    }
}

impl Body {
    fn of(exchange: &Shared) -> Self {
        let exchange = Arc::clone(exchange);
        Self {
            exchange,
            chunk: Bytes::new(),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = with(&self.exchange, Exchange::chunk)?;
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let _read = self.chunk.split_to(amount.min(self.chunk.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_may_move_but_not_to_plain_http() {
        let tail = "/info/refs?service=git-upload-pack";
        let table = [
            ("https://a/x.git", "https://a/x.git", Some(None)),
            (
                "https://a/x.git",
                "https://b/y.git",
                Some(Some("https://b/y.git")),
            ),
            (
                "http://a/x.git",
                "https://a/x.git",
                Some(Some("https://a/x.git")),
            ),
            ("https://a/x.git", "http://a/x.git", None),
        ];
        for (asked, answered, expected) in table {
            let url = Url::parse(&format!("{answered}{tail}")).unwrap();
            let found = moved(&format!("{asked}{tail}"), asked, &url).ok();
            let expected = expected.map(|base| base.map(str::to_owned));
            assert_eq!(found, expected, "{asked} to {answered}");
        }
        let login = Url::parse("https://a/login").unwrap();
        assert!(moved(&format!("https://a/x.git{tail}"), "https://a/x.git", &login).is_err());
    }
}
