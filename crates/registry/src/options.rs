//! [`Options`]: everything a [`crate::Client`] is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{Chain, Credentials};
use crate::endpoint::Purpose;
use crate::{Mirror, RetryPolicy, Secret, host};

/// The settings of a client. The default reaches public registries anonymously.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where credentials come from.
    pub credentials: Arc<dyn Credentials>,
    /// Mirrors of Docker Hub, asked in this order when pulling.
    pub mirrors: Vec<Mirror>,
    /// Replacements for registries when pulling, by registry host, in order.
    pub registry_map: BTreeMap<String, Vec<Mirror>>,
    /// Whether a registry that has mirrors or replacements is itself not asked.
    pub skip_default_registry_fallback: bool,
    /// Registries that may be spoken to by plain HTTP. Loopback ones always may.
    pub insecure: Scope,
    /// Registries whose certificate is not checked.
    pub skip_tls_verify: Scope,
    /// Certificates.
    pub tls: TlsOptions,
    /// Text added to the user agent.
    pub user_agent_suffix: Option<String>,
    /// How often and how fast to try again.
    pub retry: RetryPolicy,
    /// Tries beyond those of `retry`, by what they are for.
    pub extra_tries: ExtraTries,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Proxies. Loopback hosts are never asked through one.
    pub proxies: Proxies,
    /// Bytes per request when a registry wants a blob in pieces.
    pub chunk_size: u64,
}

/// Tries that are added to a [`RetryPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExtraTries {
    /// For reading manifests, lists of tags and configs, and for beginning to read a layer.
    pub download: u32,
    /// For reading a layer to its end, after a break or wrong bytes in the middle of it.
    pub layer: u32,
    /// For pushing, mounting and deleting, and the questions that precede them.
    pub push: u32,
}

/// Which requests a permission covers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// All pulls.
    pub pull: bool,
    /// All pushes.
    pub push: bool,
    /// All requests to these hosts, with port.
    pub registries: BTreeSet<String>,
}

/// Certificates to trust and to show. Paths are read once, when the client is made.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM files trusted for every registry, besides the system's.
    pub certificates: Vec<PathBuf>,
    /// PEM files trusted for one registry, by host with port.
    pub registry_certificates: BTreeMap<String, Vec<PathBuf>>,
    /// Certificates to show to one registry, by host with port.
    pub client_certificates: BTreeMap<String, ClientCertificate>,
    /// A PEM bundle in place of the system's (`SSL_CERT_FILE`).
    pub system_bundle: Option<PathBuf>,
    /// Directories of PEM files in place of the system's (`SSL_CERT_DIR`).
    pub system_directories: Option<Vec<PathBuf>>,
}

/// A certificate that proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// How long to wait; `Duration::ZERO` is not "for ever" but no time at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For an answer, and between two pieces of one.
    pub read: Duration,
    /// For a registry to take more of an upload, or to answer after its end.
    pub upload: Duration,
}

/// Proxies as in `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`; they may hold passwords.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<Secret>,
    /// For HTTPS.
    pub https: Option<Secret>,
    /// Hosts that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: Arc::new(Chain::default()),
            mirrors: Vec::new(),
            registry_map: BTreeMap::new(),
            skip_default_registry_fallback: false,
            insecure: Scope::default(),
            skip_tls_verify: Scope::default(),
            tls: TlsOptions::default(),
            user_agent_suffix: None,
            retry: RetryPolicy::default(),
            extra_tries: ExtraTries::default(),
            timeouts: Timeouts::default(),
            proxies: Proxies::default(),
            chunk_size: 16 * 1024 * 1024,
        }
    }
}

impl Options {
    /// How often a request for `purpose` is tried.
    pub(crate) fn tries(&self, purpose: Purpose) -> RetryPolicy {
        self.retry.with_more(match purpose {
            Purpose::Pull => self.extra_tries.download,
            Purpose::Push => self.extra_tries.push,
        })
    }

    /// How often a layer that broke off, or came wrong, is gone on with.
    pub(crate) fn layer_tries(&self) -> RetryPolicy {
        self.retry.with_more(self.extra_tries.layer)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            read: Duration::from_secs(60),
            upload: Duration::from_secs(300),
        }
    }
}

impl Scope {
    /// Whether a request to `registry` for `purpose` is covered.
    pub(crate) fn covers(&self, registry: &str, purpose: Purpose) -> bool {
        let all = match purpose {
            Purpose::Pull => self.pull,
            Purpose::Push => self.push,
        };
        let registry = host::canonical(registry);
        all || self
            .registries
            .iter()
            .any(|named| host::canonical(named) == registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers_what_it_names() {
        let scope = Scope {
            pull: true,
            push: false,
            registries: ["index.docker.io".to_owned(), "a:1".to_owned()].into(),
        };
        assert!(scope.covers("x", Purpose::Pull));
        assert!(!scope.covers("x", Purpose::Push));
        assert!(scope.covers("docker.io", Purpose::Push));
        assert!(scope.covers("a:1", Purpose::Push));
        assert!(!scope.covers("a", Purpose::Push));
    }

    #[test]
    fn proxies_do_not_show_their_passwords() {
        let proxies = Proxies {
            http: Some(Secret::new("http://u:hunter2@proxy")),
            ..Proxies::default()
        };
        assert!(!format!("{proxies:?}").contains("hunter2"));
    }
}
