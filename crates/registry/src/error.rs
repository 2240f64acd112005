//! What can go wrong with a registry, and what the user may do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use yadokari_image::{Digest, DocumentError, Platform};

use crate::retry::is_passing;
use crate::{CredentialError, Secret};

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A certificate or key file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no certificate, or no key, in PEM form.
    #[error("`{}` holds no usable {expected} in PEM form", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A client certificate does not fit its key, or is not usable.
    #[error("client certificate for {registry} is not usable")]
    ClientCertificate {
        /// The registry it is for.
        registry: String,
        /// Why.
        source: rustls::Error,
    },
    /// A proxy is no URL.
    #[error("invalid proxy for {scheme}")]
    Proxy {
        /// `http` or `https`.
        scheme: &'static str,
        /// The proxy; it may hold a password.
        proxy: Secret,
    },
    /// The HTTP stack refuses the settings.
    #[error("cannot set up HTTP")]
    Http {
        /// Why.
        source: reqwest::Error,
    },
}

/// A failed request: where, what for, and why.
///
/// Its text holds the cause's, so [`std::error::Error::source`] is what lies behind the cause.
#[derive(Debug)]
pub struct RegistryError {
    /// The registry's host as named in the image name, or the mirror's.
    pub registry: String,
    /// The repository on that registry.
    pub repository: String,
    /// What was tried.
    pub operation: Operation,
    /// Why it failed.
    pub cause: Box<Cause>,
}

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// First contact: protocol, and which credentials are wanted.
    Connect,
    /// Reading a manifest, by tag or digest.
    PullManifest(String),
    /// Reading a blob.
    PullBlob(Digest),
    /// Asking whether a blob exists.
    FindBlob(Digest),
    /// Writing a blob.
    PushBlob(Digest),
    /// Mounting a blob from another repository.
    MountBlob(Digest),
    /// Trying a user name and password.
    LogIn,
    /// Asking whether a manifest exists, by tag or digest.
    FindManifest(String),
    /// Writing a manifest, by tag or digest.
    PushManifest(String),
    /// Asking whether pushing is allowed.
    CheckPush,
    /// Listing tags.
    ListTags,
    /// Listing what refers to a manifest.
    ListReferrers(Digest),
    /// Deleting a manifest or tag.
    Delete(String),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The registry answered with an error.
    #[error("status {status}{}", described(code.as_deref(), message))]
    Rejected {
        /// HTTP status.
        status: u16,
        /// The distribution error code, such as `MANIFEST_UNKNOWN`.
        code: Option<String>,
        /// The registry's message, possibly empty.
        message: String,
        /// How long the registry asks to wait.
        retry_after: Option<Duration>,
    },
    /// No credential was accepted.
    #[error("not authorized: {reason} (tried: {})", tried.join(", "))]
    NotAuthorized {
        /// HTTP status of the last refusal.
        status: u16,
        /// What the registry or its token server said.
        reason: String,
        /// Where the credentials came from that were tried, in order.
        tried: Vec<String>,
        /// Sources of credentials that failed.
        failures: Vec<CredentialError>,
    },
    /// The registry wants a kind of authentication that is not known here.
    #[error("registry wants the authentication scheme `{scheme}`, known are Basic and Bearer")]
    UnknownScheme {
        /// The scheme's name.
        scheme: String,
    },
    /// The registry sends credentials to a place that they must not go to.
    #[error("refusing to ask `{realm}` for a token: not HTTPS")]
    InsecureRealm {
        /// The token server named by the registry.
        realm: String,
    },
    /// The token server answered with something that is no token.
    #[error("token server `{realm}` sent no token")]
    NoToken {
        /// The token server named by the registry.
        realm: String,
    },
    /// The token server answered with an error that is no refusal.
    #[error("token server `{realm}`: status {status}{}", described(None, message))]
    TokenServer {
        /// The token server named by the registry.
        realm: String,
        /// HTTP status.
        status: u16,
        /// The server's message, possibly empty.
        message: String,
    },
    /// The registry cannot be reached.
    #[error("cannot connect to {host}{}: {problem}", through(proxy.as_deref()))]
    Connect {
        /// The host that was called.
        host: String,
        /// Host and port of the proxy that it is called through.
        proxy: Option<String>,
        /// What kind of failure it is.
        problem: ConnectProblem,
        /// The failure.
        source: reqwest::Error,
    },
    /// The connection broke in the middle.
    #[error("connection broke")]
    Interrupted {
        /// The failure.
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("no answer for {} seconds", waited.as_secs())]
    Silent {
        /// How long was waited.
        waited: Duration,
    },
    /// A document is larger than any real one.
    #[error("answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Bytes do not have the digest they were asked for by.
    #[error("expected {expected}, got {found}")]
    DigestMismatch {
        /// Digest asked for.
        expected: Digest,
        /// Digest of what came.
        found: Digest,
    },
    /// A blob or document does not have the size that its descriptor says.
    #[error("expected {expected} bytes, got {found}")]
    SizeMismatch {
        /// Size in the descriptor, in bytes.
        expected: u64,
        /// Bytes that came, or that came until it was too much.
        found: u64,
    },
    /// A manifest, index or config cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The manifest is of the retired schema 1.
    #[error("manifest has the retired Docker schema 1; push the image again with a current tool")]
    Schema1,
    /// The manifest is no image.
    #[error("not an image: media type `{media_type}`")]
    NotAnImage {
        /// Media type of the manifest or config.
        media_type: String,
    },
    /// The index has nothing for the platform.
    #[error(
        "no match for platform {wanted} in manifest: not found (offered: {})",
        listed(offered)
    )]
    NoPlatform {
        /// The platform asked for.
        wanted: Box<Platform>,
        /// The platforms there are.
        offered: Vec<Platform>,
    },
    /// The registry does not follow the protocol.
    #[error("registry does not follow the protocol: {what}")]
    Protocol {
        /// What is missing or wrong.
        what: &'static str,
    },
    /// The registry points somewhere a request must not go.
    #[error("refusing to follow a redirect to `{target}`")]
    Redirect {
        /// Where it points.
        target: String,
    },
    /// The bytes to push cannot be read.
    #[error("cannot read the blob to push")]
    Source {
        /// Why.
        source: io::Error,
    },
}

/// Why a connection failed, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectProblem {
    /// The name does not resolve.
    UnknownHost,
    /// Nobody listens.
    Refused,
    /// The certificate is not signed by a known authority.
    UntrustedCertificate,
    /// The certificate is for another name, or not valid at this time.
    InvalidCertificate,
    /// The host does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            operation,
            cause,
        } = self;
        match operation {
            Operation::LogIn => write!(f, "{operation} {registry}: {cause}"),
            _ => write!(f, "{operation} {registry}/{repository}: {cause}"),
        }
    }
}

impl std::error::Error for RegistryError {
    /// What lies behind the cause. Of a connection that did not come about it is the last reason: those above it only say
    /// that there was no connection.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let next = self.cause.source();
        match *self.cause {
            Cause::Connect { .. } => next.map(last),
            _ => next,
        }
    }
}

impl Cause {
    /// The same, naming the proxy of a connection that did not come about.
    pub(crate) fn through(mut self, way: impl FnOnce() -> Option<String>) -> Self {
        if let Self::Connect { proxy, .. } = &mut self {
            *proxy = way();
        }
        self
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

impl ConnectProblem {
    /// Whether the same call may go through later.
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Self::Refused | Self::Other)
    }
}

impl fmt::Display for ConnectProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownHost => "unknown host",
            Self::Refused => "connection refused",
            Self::UntrustedCertificate => "certificate signed by an unknown authority",
            Self::InvalidCertificate => "certificate is not valid",
            Self::NotTls => "host does not speak TLS",
            Self::Other => "connection failed",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect to"),
            Self::LogIn => f.write_str("log in to"),
            Self::PullManifest(name) => write!(f, "pull manifest {name} of"),
            Self::PullBlob(digest) => write!(f, "pull blob {digest} of"),
            Self::FindBlob(digest) => write!(f, "look for blob {digest} in"),
            Self::PushBlob(digest) => write!(f, "push blob {digest} to"),
            Self::MountBlob(digest) => write!(f, "mount blob {digest} in"),
            Self::FindManifest(name) => write!(f, "look for manifest {name} in"),
            Self::PushManifest(name) => write!(f, "push manifest {name} to"),
            Self::CheckPush => f.write_str("check push permission for"),
            Self::ListTags => f.write_str("list tags of"),
            Self::ListReferrers(digest) => write!(f, "list referrers of {digest} in"),
            Self::Delete(name) => write!(f, "delete {name} of"),
        }
    }
}

impl RegistryError {
    /// The HTTP status, if the registry answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match *self.cause {
            Cause::Rejected { status, .. } | Cause::NotAuthorized { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match &*self.cause {
            Cause::Rejected { status, .. } => is_passing(*status),
            Cause::TokenServer { status, .. } => matches!(status, 520..=530),
            Cause::Interrupted { .. } | Cause::Silent { .. } => true,
            Cause::DigestMismatch { .. } | Cause::SizeMismatch { .. } => true,
            Cause::Connect { problem, .. } => problem.may_pass(),
            _ => false,
        }
    }

    /// Whether the registry answered, and said no.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status().is_some()
    }

    /// Whether each further try may take as long as a time limit.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(*self.cause, Cause::Connect { .. } | Cause::Silent { .. })
    }

    /// Whether bytes came that are not the promised ones, so that only a fresh start helps.
    #[must_use]
    pub fn is_wrong_content(&self) -> bool {
        matches!(
            *self.cause,
            Cause::DigestMismatch { .. } | Cause::SizeMismatch { .. }
        )
    }

    /// Whether the manifest, blob or repository does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the registry refused to overwrite a tag that it holds to be immutable.
    #[must_use]
    pub fn is_immutable_tag(&self) -> bool {
        match &*self.cause {
            Cause::Rejected { code, message, .. } => {
                code.as_deref() == Some("TAG_INVALID") || message.contains("immutable")
            }
            _ => false,
        }
    }

    /// How long the registry asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match *self.cause {
            Cause::Rejected { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// What the user may do about it, in one sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let registry = &self.registry;
        match &*self.cause {
            Cause::NotAuthorized {
                tried,
                status,
                failures,
                ..
            } => {
                let failures = failures.iter().map(|failure| format!("; {failure}"));
                Some(self.access_hint(tried, *status) + &failures.collect::<String>())
            }
            Cause::Rejected { status: 429, .. } => Some(format!(
                "{registry} limits the rate of requests; log in, or use a registry mirror"
            )),
            Cause::Rejected { status: 404, .. } => Some(format!(
                "check the spelling of {} and that it exists on {registry}; private images also look like this without credentials",
                self.asked_for()
            )),
            Cause::Rejected { status: 413, .. } => Some(format!(
                "a proxy in front of {registry} limits the size of requests"
            )),
            Cause::Connect { problem, .. } => self.connect_hint(*problem),
            Cause::NoPlatform { .. } => {
                Some("choose one of these with --platform, or another base image".to_owned())
            }
            _ => None,
        }
    }

    /// The words of the user that may be misspelt.
    fn asked_for(&self) -> String {
        let repository = &self.repository;
        match &self.operation {
            Operation::PullManifest(name) | Operation::FindManifest(name)
                if !name.contains(':') =>
            {
                format!("`{repository}` and of its tag `{name}`")
            }
            _ => format!("`{repository}`"),
        }
    }

    fn access_hint(&self, tried: &[String], status: u16) -> String {
        let registry = &self.registry;
        let named: Vec<&str> = tried
            .iter()
            .map(String::as_str)
            .filter(|source| *source != "anonymous")
            .collect();
        if named.is_empty() {
            return format!(
                "no credentials for {registry} are known: log in to it, or check that `{}` exists",
                self.repository
            );
        }
        let sources = named.join(", ");
        if status == 401 {
            format!("check user name and password or token for {registry} (from {sources})")
        } else {
            format!(
                "the credentials for {registry} (from {sources}) have no right to do this in `{}`",
                self.repository
            )
        }
    }

    fn connect_hint(&self, problem: ConnectProblem) -> Option<String> {
        let registry = &self.registry;
        match problem {
            ConnectProblem::UnknownHost => Some(format!(
                "check the spelling of `{registry}`, and the name server or proxy settings"
            )),
            ConnectProblem::UntrustedCertificate => Some(format!(
                "give the authority's certificate with --registry-certificate {registry}=FILE, or skip the check with --skip-tls-verify-registry {registry}"
            )),
            ConnectProblem::NotTls => Some(format!(
                "if {registry} speaks plain HTTP, allow it with --insecure-registry {registry}"
            )),
            _ => None,
        }
    }
}

fn last<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
}

fn described(code: Option<&str>, message: &str) -> String {
    match (code, message) {
        (None, "") => String::new(),
        (Some(code), "") => format!(": {code}"),
        (None, message) => format!(": {message}"),
        (Some(code), message) => format!(": {code}: {message}"),
    }
}

fn listed(platforms: &[Platform]) -> String {
    let names: Vec<_> = platforms.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(cause: Cause) -> RegistryError {
        RegistryError {
            registry: "r.io".to_owned(),
            repository: "a/b".to_owned(),
            operation: Operation::CheckPush,
            cause: Box::new(cause),
        }
    }

    fn rejected(status: u16) -> RegistryError {
        error(Cause::Rejected {
            status,
            code: Some("DENIED".to_owned()),
            message: "no".to_owned(),
            retry_after: None,
        })
    }

    #[test]
    fn only_what_may_pass_is_retryable() {
        for (status, expected) in [
            (429, true),
            (500, true),
            (503, true),
            (400, false),
            (404, false),
            (403, false),
        ] {
            assert_eq!(rejected(status).is_retryable(), expected, "{status}");
        }
        assert!(!error(Cause::Schema1).is_retryable());
        assert!(
            error(Cause::Silent {
                waited: Duration::ZERO
            })
            .is_retryable()
        );
    }

    #[test]
    fn the_message_names_place_and_reason() {
        assert_eq!(
            rejected(403).to_string(),
            "check push permission for r.io/a/b: status 403: DENIED: no"
        );
    }

    #[test]
    fn what_is_not_found_is_named_with_its_tag() {
        let mut error = rejected(404);
        for (name, expected) in [
            ("latset", "spelling of `a/b` and of its tag `latset` and"),
            ("sha256:1234", "spelling of `a/b` and"),
        ] {
            error.operation = Operation::PullManifest(name.to_owned());
            assert!(error.hint().unwrap().contains(expected), "{name}");
        }
    }

    #[test]
    fn hints_tell_a_wrong_password_from_a_missing_right() {
        let refused = |status, tried: &[&str]| {
            error(Cause::NotAuthorized {
                status,
                reason: "x".to_owned(),
                tried: tried.iter().map(|source| (*source).to_owned()).collect(),
                failures: Vec::new(),
            })
            .hint()
            .unwrap()
        };
        assert!(refused(401, &["config.json", "anonymous"]).contains("password"));
        assert!(refused(403, &["config.json", "anonymous"]).contains("no right"));
        assert!(refused(401, &["anonymous"]).contains("no credentials"));
    }
}
