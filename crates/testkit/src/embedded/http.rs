//! As much HTTP/1.1 as a registry needs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};

/// The longest request line or header line that is read.
const LINE_LIMIT: u64 = 64 * 1024;

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// A request whose body is still on the wire.
pub(super) struct Request<'c> {
    /// `GET`, `PUT` and so on.
    pub(super) method: String,
    /// The path without the query, percent-decoded.
    pub(super) path: String,
    /// The query's fields, percent-decoded.
    pub(super) query: BTreeMap<String, String>,
    /// Header fields by lower-case name.
    pub(super) headers: BTreeMap<String, String>,
    /// Whether another request may follow on the connection.
    pub(super) keep_alive: bool,
    body: Body<'c>,
}

/// What is left of a body.
struct Body<'c> {
    reader: &'c mut dyn BufRead,
    framing: Framing,
}

enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes of the current chunk are left; another follows.
    Chunk(u64),
    /// Everything was read.
    Done,
}

/// An answer.
pub(super) struct Response {
    /// The HTTP status.
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    body: Content,
}

enum Content {
    Bytes(Vec<u8>),
    File(File, u64),
}

impl<'c> Request<'c> {
    /// Reads the next request's head; nothing if the connection was closed between requests.
    pub(super) fn read(
        reader: &'c mut dyn BufRead,
        mut stream: &TcpStream,
    ) -> Result<Option<Self>> {
        // A client that tries TLS first has to learn at once that nobody speaks it here.
        ensure!(
            !reader.fill_buf()?.starts_with(&[TLS_HANDSHAKE]),
            "TLS on a plain connection"
        );
        let Some(first) = line(reader)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some(version)) =
            (words.next(), words.next(), words.next())
        else {
            bail!("not a request line: {first:?}");
        };
        let headers = headers(reader)?;
        if headers
            .get("expect")
            .is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let close = headers
            .get("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(Some(Self {
            method: method.to_string(),
            path: decode(path),
            query: fields(query),
            keep_alive: version == "HTTP/1.1" && !close,
            body: Body {
                framing: Framing::of(&headers)?,
                reader,
            },
            headers,
        }))
    }

    /// The body as a stream.
    pub(super) fn body(&mut self) -> &mut dyn Read {
        &mut self.body
    }

    /// Reads what the handler left, so that the next request is found.
    pub(super) fn skip_body(&mut self) -> io::Result<()> {
        io::copy(&mut self.body, &mut io::sink()).map(drop)
    }
}

impl Framing {
    fn of(headers: &BTreeMap<String, String>) -> Result<Self> {
        if headers
            .get("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Ok(Self::Chunk(0));
        }
        let length = headers
            .get("content-length")
            .map_or(Ok(0), |value| value.parse());
        Ok(Self::Length(length.context("a length that is no number")?))
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Framing::Chunk(0) = self.framing {
            self.framing = self.next_chunk()?;
        }
        let (Framing::Length(left) | Framing::Chunk(left)) = &mut self.framing else {
            return Ok(0);
        };
        let count = Read::take(&mut *self.reader, *left).read(buffer)?;
        if count == 0 && *left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count as u64;
        if let Framing::Chunk(0) = self.framing {
            self.reader.read_until(b'\n', &mut Vec::new())?;
        }
        Ok(count)
    }
}

impl Body<'_> {
    fn next_chunk(&mut self) -> io::Result<Framing> {
        let invalid = |problem| io::Error::new(io::ErrorKind::InvalidData, problem);
        let size = line(self.reader)
            .map_err(|_| invalid("a chunk without a size"))?
            .unwrap_or_default();
        let digits = size.split(';').next().unwrap_or_default().trim();
        match u64::from_str_radix(digits, 16)
            .map_err(|_| invalid("a chunk size that is no number"))?
        {
            0 => {
                headers(self.reader).map_err(|_| invalid("broken trailers"))?;
                Ok(Framing::Done)
            }
            size => Ok(Framing::Chunk(size)),
        }
    }
}

impl Response {
    /// An answer without a body.
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Bytes(Vec::new()),
        }
    }

    /// An error in the form that the specification gives it.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::new(status)
            .header("Content-Type", "application/json")
            .bytes(body.to_string().into_bytes())
    }

    /// Adds a header field.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body.
    pub(super) fn bytes(mut self, bytes: Vec<u8>) -> Self {
        self.body = Content::Bytes(bytes);
        self
    }

    /// Sends so many bytes of a file, from where it stands.
    pub(super) fn file(mut self, file: File, length: u64) -> Self {
        self.body = Content::File(file, length);
        self
    }

    pub(super) fn write(
        self,
        mut stream: &TcpStream,
        head_only: bool,
        keep_alive: bool,
    ) -> io::Result<()> {
        let length = match &self.body {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_, length) => *length,
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        head.push_str("Docker-Distribution-Api-Version: registry/2.0\r\n");
        head.push_str(&format!(
            "Content-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        ));
        stream.write_all(head.as_bytes())?;
        match self.body {
            _ if head_only => Ok(()),
            Content::Bytes(bytes) => stream.write_all(&bytes),
            Content::File(file, length) => io::copy(&mut file.take(length), &mut stream).map(drop),
        }
    }
}

fn headers(reader: &mut dyn BufRead) -> Result<BTreeMap<String, String>> {
    let mut headers = BTreeMap::new();
    loop {
        let line = line(reader)?.context("the connection ended inside a head")?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("not a header: {line:?}"))?;
        headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
    }
}

/// One line without its end; nothing at the end of the stream.
fn line(reader: &mut dyn BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if reader.take(LINE_LIMIT).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    ensure!(
        line.ends_with('\n'),
        "a line longer than {LINE_LIMIT} bytes, or cut off"
    );
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_string()))
}

fn fields(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        500 => "Internal Server Error",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_split_and_decoded() {
        let found = fields("digest=sha256%3Aab&mount=&x%zz");
        assert_eq!(found["digest"], "sha256:ab");
        assert_eq!((found["mount"].as_str(), found["x%zz"].as_str()), ("", ""));
    }
}
