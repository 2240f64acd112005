//! Clients for what is no business of a registry: contexts, Dockerfiles, the sources of ADD, token servers of clouds.

use reqwest::ClientBuilder;

use crate::tls::Certificates;
use crate::transport::{proxies, user_agent};
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

pub(crate) fn builder(options: &Options, verify: bool) -> Result<ClientBuilder, ClientError> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(options.timeouts.connect)
        .read_timeout(options.timeouts.read)
        .no_proxy();
    for proxy in proxies(options)? {
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
