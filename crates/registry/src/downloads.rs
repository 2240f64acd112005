//! Clients for what is no business of a registry: contexts, Dockerfiles, the sources of ADD, token servers of clouds.

use reqwest::ClientBuilder;
use reqwest::redirect::{Attempt, Policy};
use url::Url;

use crate::proxy::Ways;
use crate::tls::Certificates;
use crate::transport::user_agent;
use crate::{ClientError, Options};

/// Makes a client that trusts the authorities and uses the proxies that registries are reached with.
///
/// It follows redirects. Without `verify` it takes any certificate. Certificate files are read now.
///
/// # Errors
///
/// [`ClientError`] if a file that was named cannot be used, or a proxy is no URL.
pub fn download_client(options: &Options, verify: bool) -> Result<reqwest::Client, ClientError> {
    build(builder(options, verify)?)
}

/// As [`download_client`], for requests whose headers carry credentials that are not in `Authorization`.
///
/// Redirects are followed to the same server only, or from plain HTTP to the same host with TLS; another one is an error.
///
/// # Errors
///
/// As [`download_client`].
pub fn confidential_client(options: &Options) -> Result<reqwest::Client, ClientError> {
    build(builder(options, true)?.redirect(Policy::custom(stay)))
}

fn stay(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().last();
    let same = same.is_some_and(|from| is_same_server(from, attempt.url()));
    match (same, attempt.previous().len() > MOST_REDIRECTS) {
        (true, false) => attempt.follow(),
        (true, true) => attempt.error(Astray::Loop),
        (false, _) => {
            let host = attempt.url().host_str().unwrap_or_default().to_owned();
            attempt.error(Astray::Elsewhere { host })
        }
    }
}

fn is_same_server(from: &Url, to: &Url) -> bool {
    let is_upgrade = || {
        let usual = |url: &Url| url.port().is_none();
        from.host() == to.host()
            && (from.scheme(), to.scheme()) == ("http", "https")
            && usual(from)
            && usual(to)
    };
    from.origin() == to.origin() || is_upgrade()
}

/// The most redirects that are followed, as other clients have it.
const MOST_REDIRECTS: usize = 10;

/// Why a redirect is not followed.
#[derive(Debug, thiserror::Error)]
enum Astray {
    #[error("credentials are not taken to {host}")]
    Elsewhere { host: String },
    #[error("too many redirects")]
    Loop,
}

pub(crate) fn builder(options: &Options, verify: bool) -> Result<ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(options.timeouts.connect)
        .read_timeout(options.timeouts.read)
        .no_proxy();
    for proxy in Ways::new(options)?.list() {
        builder = builder.proxy(proxy);
    }
    with_roots(builder, options, verify)
}

/// Adds the certificates and the name that every request goes out with.
pub(crate) fn with_roots(
    builder: ClientBuilder,
    options: &Options,
    verify: bool,
) -> Result<ClientBuilder, ClientError> {
    let tls = Certificates::load(&options.tls)?.config(None, verify)?;
    let name = user_agent(options.user_agent_suffix.as_deref());
    Ok(builder.tls_backend_preconfigured(tls).user_agent(name))
}

pub(crate) fn build(builder: ClientBuilder) -> Result<reqwest::Client, ClientError> {
    builder
        .build()
        .map_err(|source| ClientError::Http { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_on_their_server() {
        let table = [
            ("http://a/x", "http://a/y", true),
            ("https://a/x", "https://a:443/y", true),
            ("http://a/x", "https://a/x", true),
            ("https://a/x", "http://a/x", false),
            ("http://a/x", "http://b/x", false),
            ("http://a/x", "http://a:81/x", false),
            ("http://a:81/x", "https://a/x", false),
            ("https://a/x", "https://a.b/x", false),
            ("https://a/x", "https://b.a/x", false),
        ];
        for (from, to, expected) in table {
            let [from, to] = [from, to].map(|text| Url::parse(text).unwrap());
            assert_eq!(is_same_server(&from, &to), expected, "{from} to {to}");
        }
    }
}
