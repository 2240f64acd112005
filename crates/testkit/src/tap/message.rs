//! Heads of HTTP/1.1 messages, and how long the bodies behind them are.

use std::io::{self, BufRead, Read, Write};

/// The longest head that is read, in bytes.
const HEAD_LIMIT: usize = 256 * 1024;

/// A request or status line with header fields, as it came.
#[derive(Debug)]
pub(super) struct Head(String);

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// How much of a body is passed on, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    All,
    /// The first half.
    Half,
    /// All, with one byte changed.
    Spoilt,
}

impl Head {
    /// Reads a head; nothing if the connection ends before it.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut text)? == 0 || text.len() > HEAD_LIMIT {
                return Ok(None);
            }
        }
        let text = String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Some(Self(text)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A word of the first line.
    pub(super) fn word(&self, at: usize) -> &str {
        let first = self.0.lines().next().unwrap_or_default();
        first.split(' ').nth(at).unwrap_or_default()
    }

    /// The same request without what stands behind the `?` of its target.
    pub(super) fn without_query(&self) -> Self {
        let target = self.word(1);
        let path = target.split('?').next().unwrap_or_default();
        Self(self.0.replacen(target, path, 1))
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.0.lines().filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    pub(super) fn request_body(&self) -> Body {
        self.framing().unwrap_or(Body::None)
    }

    /// The body of an answer to a request with `method`.
    pub(super) fn answer_body(&self, method: &str) -> Body {
        let status = self.word(1);
        if method == "HEAD" || status == "204" || status == "304" || status.starts_with('1') {
            return Body::None;
        }
        self.framing().unwrap_or(Body::UntilClose)
    }

    fn framing(&self) -> Option<Body> {
        if self
            .field("transfer-encoding")
            .is_some_and(|coding| coding.contains("chunked"))
        {
            return Some(Body::Chunked);
        }
        Some(Body::Length(self.field("content-length")?.parse().ok()?))
    }
}

/// Passes a body on; gives the bytes that went.
pub(super) fn pass(
    from: &mut impl BufRead,
    to: &mut impl Write,
    body: Body,
    passing: Passing,
) -> io::Result<u64> {
    match body {
        Body::None => Ok(0),
        Body::Chunked => pass_chunks(from, to),
        Body::UntilClose => io::copy(from, to),
        Body::Length(length) => match passing {
            Passing::All => io::copy(&mut from.take(length), to),
            Passing::Half => io::copy(&mut from.take(length / 2), to),
            Passing::Spoilt => pass_spoilt(from, to, length),
        },
    }
}

fn pass_spoilt(from: &mut impl BufRead, to: &mut impl Write, length: u64) -> io::Result<u64> {
    let before = io::copy(&mut from.take(length / 2), to)?;
    let mut one = [0];
    if before == length || from.read(&mut one)? == 0 {
        return Ok(before);
    }
    to.write_all(&[one[0] ^ 0x20])?;
    Ok(before + 1 + io::copy(&mut from.take(length - before - 1), to)?)
}

fn pass_chunks(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<u64> {
    let mut passed = 0;
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        to.write_all(line.as_bytes())?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        // The chunk with its line end; after the last one comes an empty line.
        passed += io::copy(&mut from.take(size + 2), to)?;
        if size == 0 {
            return Ok(passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        Head::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "GET",
                Body::Length(5),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                "HEAD",
                Body::None,
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", "DELETE", Body::None),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "GET",
                Body::Chunked,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", "GET", Body::UntilClose),
        ];
        for (text, method, expected) in cases {
            assert_eq!(head(text).answer_body(method), expected, "{text}");
        }
        assert!(
            Head::read(&mut "GET / HTTP/1.1\r\n".as_bytes())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn bodies_go_whole_in_half_or_spoilt() {
        let sent = |body, passing| {
            let mut to = Vec::new();
            pass(&mut "abcdef".as_bytes(), &mut to, body, passing).unwrap();
            String::from_utf8(to).unwrap()
        };
        assert_eq!(sent(Body::Length(6), Passing::All), "abcdef");
        assert_eq!(sent(Body::Length(6), Passing::Half), "abc");
        assert_eq!(sent(Body::Length(6), Passing::Spoilt), "abcDef");
        assert_eq!(sent(Body::Length(0), Passing::Spoilt), "");
        let mut to = Vec::new();
        let chunks = "3\r\nabc\r\n0\r\n\r\nnext";
        pass(&mut chunks.as_bytes(), &mut to, Body::Chunked, Passing::All).unwrap();
        assert_eq!(String::from_utf8(to).unwrap(), "3\r\nabc\r\n0\r\n\r\n");
    }
}
