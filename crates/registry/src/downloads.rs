//! A client for downloads that are no business of a registry: contexts, Dockerfiles and the sources of ADD.

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
    let tls = Certificates::load(&options.tls)?.config(None, verify)?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(user_agent(options.user_agent_suffix.as_deref()))
        .connect_timeout(options.timeouts.connect)
        .read_timeout(options.timeouts.read)
        .no_proxy();
    for proxy in proxies(options)? {
        builder = builder.proxy(proxy);
    }
    builder
        .build()
        .map_err(|source| ClientError::Http { source })
}
