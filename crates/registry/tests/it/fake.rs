//! A registry for tests: HTTP/1.1 by hand, so that every fault can be scripted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use yadokari_image::{Descriptor, Digest, ImageConfig, Manifest, Platform, Reference, Repository};
use yadokari_image::{json, media_type};
use yadokari_registry::{Client, Options, RetryPolicy};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path with query.
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What goes back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    cut: Option<usize>,
    /// Bytes of the body after which nothing comes any more.
    stall: Option<usize>,
}

/// A running registry. It ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) host: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn is(&self, method: &str, start: &str) -> bool {
        self.method == method && self.target.starts_with(start)
    }
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends so many bytes of the body, and then nothing, for as long as the client waits.
    pub(crate) fn stall_after(mut self, bytes: usize) -> Self {
        self.stall = Some(bytes);
        self
    }

    /// Cuts the connection after so many bytes of the body.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }
}

impl Fake {
    /// Starts a registry that answers with `handler`, which is called for one request at a time.
    pub(crate) async fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let handler = Arc::new(Mutex::new(handler));
        let shared = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&shared));
                tokio::spawn(async move {
                    serve(stream, |request| {
                        log.lock().unwrap().push(request.clone());
                        (handler.lock().unwrap())(&request)
                    })
                    .await;
                });
            }
        });
        Self { host, log }
    }

    /// The requests so far, without the greetings.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let log = self.log.lock().unwrap();
        log.iter()
            .filter(|request| request.target != "/v2/")
            .cloned()
            .collect()
    }

    /// Method and path of the requests so far, without the greetings and queries.
    pub(crate) fn trace(&self) -> Vec<String> {
        let line = |request: Request| {
            let path = request
                .target
                .split('?')
                .next()
                .unwrap_or_default()
                .to_owned();
            format!("{} {path}", request.method)
        };
        self.requests().into_iter().map(line).collect()
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        Repository::new(&self.host, path).unwrap()
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/{rest}", self.host)).unwrap()
    }
}

async fn serve(mut stream: TcpStream, mut answer: impl FnMut(Request) -> Answer) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let head = request.method == "HEAD";
        let answer = answer(request);
        let mut text = format!("HTTP/1.1 {} x\r\n", answer.status);
        let has_length = answer
            .headers
            .iter()
            .any(|(name, _)| name == "content-length");
        if !has_length && answer.status != 204 {
            text += &format!("content-length: {}\r\n", answer.body.len());
        }
        for (name, value) in &answer.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        if !head {
            let end = answer.cut.or(answer.stall);
            bytes.extend(&answer.body[..end.unwrap_or(answer.body.len())]);
        }
        if stream.write_all(&bytes).await.is_err() || answer.cut.is_some() {
            return;
        }
        if answer.stall.is_some() {
            let _ = stream.read(&mut [0]).await;
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if buffer.first() == Some(&0x16) {
            return None; // A TLS greeting: this registry speaks plain HTTP.
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        fill(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    let body = buffer.drain(..length).collect();
    Some(Request {
        method,
        target,
        headers,
        body,
    })
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 65536];
    match stream.read(&mut piece).await {
        Ok(0) | Err(_) => None,
        Ok(length) => {
            buffer.extend(&piece[..length]);
            Some(())
        }
    }
}

/// Settings for tests: retries without waits worth the name.
pub(crate) fn options() -> Options {
    Options {
        retry: RetryPolicy::fast(),
        ..Options::default()
    }
}

pub(crate) fn client() -> Client {
    Client::new(options()).unwrap()
}

/// An image without layers: manifest bytes, config bytes.
pub(crate) fn image() -> (Vec<u8>, Vec<u8>) {
    let config = ImageConfig::new(&Platform::new("linux", "amd64")).to_bytes();
    let descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
    let manifest = Manifest::new(media_type::Family::Oci, descriptor, Vec::new());
    (json::indented(&manifest), config)
}

pub(crate) fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media_type::OCI_LAYER, bytes)
}

/// Bytes that differ from each other.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

pub(crate) fn manifest_answer(bytes: &[u8]) -> Answer {
    Answer::new(200)
        .header("content-type", media_type::OCI_MANIFEST)
        .header("docker-content-digest", Digest::of(bytes).to_string())
        .body(bytes)
}

/// A distribution error.
pub(crate) fn error(status: u16, code: &str) -> Answer {
    let body = format!(r#"{{"errors":[{{"code":"{code}","message":"because of {code}"}}]}}"#);
    Answer::new(status).body(body)
}
