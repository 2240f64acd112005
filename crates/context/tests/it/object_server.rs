//! Object stores on loopback that look at who asks: S3 with signatures, Google's with bearer tokens, Azure's with shared keys.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sha2::{Digest as _, Sha256};

/// A request: method, path with query, headers in lower case, body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// A server that answers as a function says, and remembers what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct ObjectServer {
    pub(crate) address: String,
    pub(crate) seen: Arc<Mutex<Vec<Request>>>,
}

/// A status and a body.
pub(crate) type Answer = (u16, Vec<u8>);

impl ObjectServer {
    pub(crate) fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            seen: Arc::default(),
        };
        let (answer, seen) = (Arc::new(answer), Arc::clone(&server.seen));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || serve(stream, answer.as_ref(), &seen));
            }
        });
        server
    }

    /// An S3 that has one object, `bucket/key`, and gives it to whoever signs with these keys.
    pub(crate) fn s3(bytes: Vec<u8>, id: &'static str, secret: &'static str) -> Self {
        Self::start(move |request| {
            match (signature(request, id, secret), request.target.as_str()) {
                (false, _) => (
                    403,
                    b"<Error><Code>SignatureDoesNotMatch</Code></Error>".to_vec(),
                ),
                (true, "/bucket/dir/context.tar.gz") => (200, bytes.clone()),
                (true, _) => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            }
        })
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Answer, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let mut headers = BTreeMap::new();
    for line in reader.by_ref().lines().map_while(Result::ok) {
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = String::new();
    reader
        .take(length.unwrap_or(0))
        .read_to_string(&mut body)
        .unwrap();
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
    };
    seen.lock().unwrap().push(request.clone());
    let (status, bytes) = answer(&request);
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\nETag: \"1\"\r\n\
         Last-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(&bytes).ok();
}

/// Whether a request is signed with these keys, by version 4 of AWS' signatures.
fn signature(request: &Request, id: &str, secret: &str) -> bool {
    let Some(authorization) = request.headers.get("authorization") else {
        return false;
    };
    let field = |name: &str| {
        let start = authorization.find(name)? + name.len();
        authorization[start..].split(',').next()
    };
    let (Some(credential), Some(signed), Some(given)) = (
        field("Credential="),
        field("SignedHeaders="),
        field("Signature="),
    ) else {
        return false;
    };
    let Some((key, scope)) = credential.split_once('/') else {
        return false;
    };
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    let header = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
    let headers: String = signed
        .split(';')
        .map(|name| format!("{name}:{}\n", header(name)))
        .collect();
    let canonical = format!(
        "{}\n{path}\n{query}\n{headers}\n{signed}\n{}",
        request.method,
        header("x-amz-content-sha256")
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        header("x-amz-date"),
        hex(&Sha256::digest(canonical))
    );
    let first = format!("AWS4{secret}").into_bytes();
    let signing = scope
        .split('/')
        .fold(first, |key, part| hmac(&key, part.as_bytes()));
    key == id && hex(&hmac(&signing, text.as_bytes())) == given.trim()
}

/// HMAC with SHA-256.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new()
        .chain_update(pad(0x36))
        .chain_update(text)
        .finalize();
    let outer = Sha256::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize();
    outer.to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
