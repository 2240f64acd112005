//! Downloads of single files: ADD sources, archives, Dockerfiles.

mod version;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use url::Url;
use yadokari_image::Digest;
use yadokari_tree::Timestamp;

use crate::text::percent_decode;
use crate::web::{Miss, Web};

pub use version::Validators;

/// A file that was downloaded; it is removed when this is dropped.
#[derive(Debug)]
pub struct RemoteFile {
    path: TempPath,
    /// The name the URL gives it: the last part of its path, or `__unnamed__`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// When the server says it was last changed.
    pub last_modified: Option<Timestamp>,
    /// By what the server knows this version again.
    pub validators: Validators,
}

impl RemoteFile {
    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What to download, and how.
#[derive(Debug, Clone, Default)]
pub struct Download {
    /// The URL.
    pub url: String,
    /// Further headers, such as `Authorization`; redirects to another host drop that.
    pub headers: HeaderMap,
    /// The digest the file must have.
    pub checksum: Option<Digest>,
    /// The most bytes that are taken; none is any number.
    pub limit: Option<u64>,
}

/// Why a file could not be downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is no URL.
    #[error("invalid URL {url:?}")]
    Url {
        /// The address, without credentials.
        url: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The server answered with an error.
    #[error("invalid response status {status}")]
    Status {
        /// The address, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection failed, at the start or on the way.
    #[error("cannot download {url}")]
    Transfer {
        /// The address, without credentials.
        url: String,
        /// The client's words.
        source: reqwest::Error,
    },
    /// The server does not take what is sent.
    #[error("{url} answers with status {status}")]
    NotTaken {
        /// The address, without credentials.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection failed while something was sent.
    #[error("cannot send to {url}")]
    Upload {
        /// The address, without credentials.
        url: String,
        /// The client's words.
        source: reqwest::Error,
    },
    /// The file is another than the one expected.
    #[error("digest mismatch {found}: {expected}")]
    Checksum {
        /// The file's digest.
        found: Digest,
        /// The expected one.
        expected: Digest,
    },
    /// A checksum of a kind other than SHA-256.
    #[error("unsupported digest algorithm")]
    ChecksumAlgorithm,
    /// A checksum that is no digest.
    #[error("invalid checksum {text:?}")]
    ChecksumText {
        /// The checksum as written.
        text: String,
    },
    /// More bytes came than are taken.
    #[error("{url} has more than {limit} bytes")]
    TooLarge {
        /// The address, without credentials.
        url: String,
        /// The most bytes that are taken.
        limit: u64,
    },
    /// The file could not be stored.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
}

/// Downloads a file into `scratch`.
///
/// Redirects are followed as the client is set up to; the name stays that of the first URL. What fails is tried again
/// from its start, as `web` has it.
///
/// # Errors
///
/// [`HttpError::Status`] unless the status is 200 to 399, [`HttpError::Checksum`] if it
/// is not the expected file; nothing is left in `scratch` then.
pub async fn download(
    web: &Web,
    request: &Download,
    scratch: &Path,
) -> Result<RemoteFile, HttpError> {
    web.persist(&request.url, |number| async move {
        let one = Attempt { web, number };
        let response = one.send(request).await?;
        one.received(response, request, scratch).await
    })
    .await
}

/// What a server says of a file that was known before.
#[derive(Debug)]
pub enum Asked {
    /// It is the version that was known, and was last changed then.
    Same(Option<Timestamp>),
    /// It is another one, which is here now.
    Other(RemoteFile),
}

/// Downloads a file into `scratch` unless the server says that it is the version known already.
///
/// # Errors
///
/// As [`download`].
pub async fn download_if_changed(
    web: &Web,
    request: &Download,
    known: &Validators,
    scratch: &Path,
) -> Result<Asked, HttpError> {
    let mut conditional = request.clone();
    conditional.headers.extend(known.condition());
    let conditional = &conditional;
    let asked = web.persist(&request.url, |number| async move {
        let one = Attempt { web, number };
        let response = one.send(conditional).await?;
        if response.status() != StatusCode::NOT_MODIFIED {
            let file = one.received(response, request, scratch).await?;
            return Ok(Some(Asked::Other(file)));
        }
        let is_meant = known.can_be_asked_about() && known.are_meant_by(response.headers());
        let changed = Validators::of(response.headers()).time();
        Ok(is_meant.then(|| Asked::Same(changed.or_else(|| known.time()))))
    });
    match asked.await? {
        Some(asked) => Ok(asked),
        None => download(web, request, scratch).await.map(Asked::Other),
    }
}

/// One try of a download.
struct Attempt<'a> {
    web: &'a Web,
    number: u32,
}

impl Attempt<'_> {
    async fn send(&self, request: &Download) -> Result<reqwest::Response, Miss> {
        let url = HttpError::parse(&request.url)?;
        let sent = self.web.client().get(url);
        let sent = sent.headers(request.headers.clone()).send().await;
        let response = sent.map_err(|source| self.web.broken(self.number, &request.url, source))?;
        match response.status().as_u16() {
            200..400 => Ok(response),
            status => Err(self.web.refused(
                self.number,
                &response,
                HttpError::Status {
                    url: shown_url(&request.url),
                    status,
                },
            )),
        }
    }

    async fn received(
        &self,
        response: reqwest::Response,
        request: &Download,
        scratch: &Path,
    ) -> Result<RemoteFile, Miss> {
        let validators = Validators::of(response.headers());
        let (path, digest, size) = self.store(response, request, scratch).await?;
        check(request, digest)?;
        Ok(RemoteFile {
            path,
            name: file_name(&request.url),
            size,
            digest,
            last_modified: validators.time(),
            validators,
        })
    }

    async fn store(
        &self,
        response: reqwest::Response,
        request: &Download,
        scratch: &Path,
    ) -> Result<(TempPath, Digest, u64), Miss> {
        let named = |path: &Path, source| HttpError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = tempfile::Builder::new()
            .prefix("download-")
            .tempfile_in(scratch);
        let mut file = file.map_err(|error| named(scratch, error))?;
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece =
                piece.map_err(|source| self.web.broken(self.number, &request.url, source))?;
            size += piece.len() as u64;
            within(request, size)?;
            hasher.update(&piece);
            file.write_all(&piece)
                .map_err(|error| named(file.path(), error))?;
        }
        let digest = Digest::from_sha256(hasher.finalize().into());
        Ok((NamedTempFile::into_temp_path(file), digest, size))
    }
}

/// The name a URL gives to its file: the last part of the path, decoded.
///
/// ```
/// use yadokari_context::file_name;
///
/// assert_eq!(file_name("http://example.com/a/b%20c?x=1"), "b c");
/// assert_eq!(file_name("http://example.com/"), "__unnamed__");
/// ```
#[must_use]
pub fn file_name(url: &str) -> String {
    let path = Url::parse(url)
        .map(|url| percent_decode(url.path()))
        .unwrap_or_default();
    let name = path
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    match name {
        "" | "." | ".." => UNNAMED.to_owned(),
        name if name.contains('\0') => UNNAMED.to_owned(),
        name => name.to_owned(),
    }
}

const UNNAMED: &str = "__unnamed__";

/// The header that the secrets for a URL's host ask for.
///
/// `secret` is asked for `HTTP_AUTH_HEADER_<host>`, the whole value of the header, then for
/// `HTTP_AUTH_TOKEN_<host>`, a bearer token. The host is without its port.
pub fn authorization<F>(url: &str, secret: F) -> HeaderMap
where
    F: Fn(&str) -> Option<String>,
{
    let mut headers = HeaderMap::new();
    let Some(host) = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
    else {
        return headers;
    };
    let whole = secret(&format!("HTTP_AUTH_HEADER_{host}"));
    let token =
        || secret(&format!("HTTP_AUTH_TOKEN_{host}")).map(|token| format!("Bearer {token}"));
    let value = whole
        .or_else(token)
        .and_then(|value| HeaderValue::from_str(value.trim()).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

/// Reads a `--checksum` for an HTTP source.
///
/// # Errors
///
/// [`HttpError::ChecksumAlgorithm`] for anything but `sha256:`.
pub fn parse_checksum(text: &str) -> Result<Digest, HttpError> {
    match text.split_once(':') {
        Some(("sha256", _)) => text.parse().map_err(|_| HttpError::ChecksumText {
            text: text.to_owned(),
        }),
        Some(_) => Err(HttpError::ChecksumAlgorithm),
        None => Err(HttpError::ChecksumText {
            text: text.to_owned(),
        }),
    }
}

fn within(request: &Download, size: u64) -> Result<(), HttpError> {
    match request.limit {
        Some(limit) if size > limit => {
            let url = shown_url(&request.url);
            Err(HttpError::TooLarge { url, limit })
        }
        _ => Ok(()),
    }
}

fn check(request: &Download, found: Digest) -> Result<(), HttpError> {
    match request.checksum {
        Some(expected) if expected != found => Err(HttpError::Checksum { found, expected }),
        _ => Ok(()),
    }
}

impl HttpError {
    /// Reads an address.
    pub(crate) fn parse(url: &str) -> Result<Url, Self> {
        Url::parse(url).map_err(|source| Self::Url {
            url: shown_url(url),
            source,
        })
    }
}

/// A URL without what may be secret in it: user, password and query.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some(mut url) = Url::parse(url).ok().filter(Url::has_host) else {
        return shown_text(url);
    };
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_query(None);
    url.into()
}

/// The same of what is no URL, and in which nobody can tell where a password ends.
fn shown_text(text: &str) -> String {
    let text = text.split('?').next().unwrap_or_default();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let host = rest.rsplit('@').next().unwrap_or_default();
    match scheme {
        "" => host.to_owned(),
        scheme => format!("{scheme}://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, client};

    fn get(server: &Server, path: &str) -> Download {
        Download {
            url: server.url(path),
            ..Download::default()
        }
    }

    async fn fetched(request: &Download) -> (tempfile::TempDir, Result<RemoteFile, HttpError>) {
        let scratch = tempfile::tempdir().unwrap();
        let result = download(&client().into(), request, scratch.path()).await;
        (scratch, result)
    }

    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        for (url, expected) in [
            ("http://h/a%20b/c%20data", "c data"),
            ("http://h/dir/data?x=1&y=2", "data"),
            ("http://h/data/", "data"),
            ("http://h", "__unnamed__"),
            ("http://h/%2e%2e%2f", "__unnamed__"),
            ("http://h/a%2f..", "__unnamed__"),
            ("http://h/a%2fb", "b"),
            ("http://h/x%00y", "__unnamed__"),
        ] {
            assert_eq!(file_name(url), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_file_comes_with_its_time_and_name() {
        let server = Server::start(|path| {
            match path {
            "/dated%20file" => {
                "HTTP/1.1 200 OK\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"x\"\r\n\r\ndata\n".into()
            }
            _ => "HTTP/1.1 404 Not Found\r\n\r\nno".into(),
        }
        });
        let (_keep, file) = fetched(&get(&server, "/dated%20file")).await;
        let file = file.unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"data\n");
        assert_eq!((file.name.as_str(), file.size), ("dated file", 5));
        assert_eq!(file.digest, Digest::of(b"data\n"));
        assert_eq!(file.last_modified.unwrap().seconds, 1_445_412_480);
        assert_eq!(file.validators.etag.as_deref(), Some("\"x\""));
        let (scratch, missing) = fetched(&get(&server, "/other")).await;
        assert_eq!(
            missing.unwrap_err().to_string(),
            "invalid response status 404"
        );
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_version_that_the_server_knows_again_is_not_sent() {
        let server = Server::start(|path| {
            let more = match path {
                "/file" => "ETag: \"x\"\r\n",
                "/dated" => "Last-Modified: Wed, 21 Oct 2015 07:28:01 GMT\r\n",
                _ => "ETag: \"y\"\r\n",
            };
            format!("HTTP/1.1 304 Not Modified\r\n{more}Connection: close\r\n\r\n").into_bytes()
        });
        let scratch = tempfile::tempdir().unwrap();
        let known = Validators {
            etag: Some("\"x\"".to_owned()),
            last_modified: Some("Wed, 21 Oct 2015 07:28:00 GMT".to_owned()),
        };
        for (path, known, expected) in [
            ("/file", &known, Some(1_445_412_480)),
            ("/dated", &known, Some(1_445_412_481)),
            ("/other", &known, None),
            ("/file", &Validators::default(), None),
        ] {
            let request = get(&server, path);
            let asked =
                download_if_changed(&client().into(), &request, known, scratch.path()).await;
            let same = match asked.unwrap() {
                Asked::Same(changed) => changed.map(|time| time.seconds),
                Asked::Other(_) => None,
            };
            assert_eq!(same, expected, "{path}");
        }
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn redirects_are_followed_and_keep_the_first_name() {
        let server = Server::start(|path| {
            match path {
            "/redirect" => "HTTP/1.1 302 Found\r\nLocation: /moved\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into(),
            path => format!("HTTP/1.1 200 OK\r\n\r\n{path}").into_bytes(),
        }
        });
        let (_keep, file) = fetched(&get(&server, "/redirect")).await;
        let file = file.unwrap();
        assert_eq!(file.name, "redirect");
        assert_eq!(std::fs::read(file.path()).unwrap(), b"/moved");
    }

    #[tokio::test]
    async fn a_wrong_or_cut_file_leaves_nothing() {
        let server = Server::start(|path| match path {
            "/cut" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata".into(),
            _ => "HTTP/1.1 200 OK\r\n\r\ndata\n".into(),
        });
        let mut wrong = get(&server, "/data");
        wrong.checksum = Some(Digest::of(b"other"));
        let mut large = get(&server, "/data");
        large.limit = Some(4);
        let found = Digest::of(b"data\n");
        let expected = Digest::of(b"other");
        for (request, message) in [
            (wrong, format!("digest mismatch {found}: {expected}")),
            (
                get(&server, "/cut"),
                format!("cannot download {}", server.url("/cut")),
            ),
            (
                large,
                format!("{} has more than 4 bytes", server.url("/data")),
            ),
        ] {
            let (scratch, result) = fetched(&request).await;
            assert_eq!(result.unwrap_err().to_string(), message);
            assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn checksums_are_sha256_only() {
        let digest = Digest::of(b"x");
        assert_eq!(parse_checksum(&digest.to_string()).unwrap(), digest);
        let error = parse_checksum("md5:d41d8cd98f00b204e9800998ecf8427e").unwrap_err();
        assert_eq!(error.to_string(), "unsupported digest algorithm");
        assert!(matches!(
            parse_checksum("sha256:12"),
            Err(HttpError::ChecksumText { .. })
        ));
    }

    #[tokio::test]
    async fn what_is_no_url_is_told_without_its_password() {
        let request = Download {
            url: "http://alice:hunter2@h:port/f?X-Amz-Signature=hunter2".to_owned(),
            ..Download::default()
        };
        let error = fetched(&request).await.1.unwrap_err();
        assert_eq!(error.to_string(), "invalid URL \"http://h:port/f\"");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn secrets_are_named_after_the_host_without_its_port() {
        let url = "http://127.0.0.1:18765/private";
        let of = |wanted: &str, value: &str| {
            let (wanted, value) = (wanted.to_owned(), value.to_owned());
            let headers = authorization(url, |name| (name == wanted).then(|| value.clone()));
            headers
                .get(AUTHORIZATION)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            of("HTTP_AUTH_TOKEN_127.0.0.1", "t").as_deref(),
            Some("Bearer t")
        );
        assert_eq!(
            of("HTTP_AUTH_HEADER_127.0.0.1", "Basic x").as_deref(),
            Some("Basic x")
        );
        assert_eq!(of("HTTP_AUTH_TOKEN_example.com", "t"), None);
    }

    #[test]
    fn shown_urls_keep_no_secrets() {
        for (url, expected) in [
            ("https://u:p@h/x?sig=y", "https://h/x"),
            ("http://u:p/w@h:port/x?sig=y", "http://h:port/x"),
            ("http://u:p#w@h:port/x", "http://h:port/x"),
            ("u:p@nothing", "nothing"),
        ] {
            assert_eq!(shown_url(url), expected, "{url}");
        }
    }
}
