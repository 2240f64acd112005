//! The client for downloads that are no business of a registry: contexts, Dockerfiles and the sources of ADD.

use std::path::PathBuf;

use reqwest::{Certificate, Client, ClientBuilder, NoProxy, Proxy};
use yadokari_registry::{Options, TlsOptions};

use crate::report::Failure;

/// Bundles of the usual distributions.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Trusts the authorities and uses the proxies that registries are reached with.
pub(super) fn client(options: &Options) -> Result<Client, Failure> {
    build(options, |builder| {
        builder.tls_certs_only(authorities(&options.tls))
    })
}

/// Takes any certificate, for who asks for it.
pub(super) fn unverified(options: &Options) -> Result<Client, Failure> {
    build(options, |builder| {
        builder.tls_danger_accept_invalid_certs(true)
    })
}

fn build(
    options: &Options,
    tls: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<Client, Failure> {
    let builder = Client::builder()
        .user_agent(concat!("yadokari/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.timeouts.connect)
        .read_timeout(options.timeouts.read)
        .no_proxy();
    let mut builder = tls(builder);
    for proxy in proxies(options).map_err(|error| Failure::new(&error))? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| Failure::new(&error))
}

/// The system's authorities, or Mozilla's where the system has none, and those named for this run.
fn authorities(tls: &TlsOptions) -> Vec<Certificate> {
    let bundle = tls.system_bundle.clone().or_else(|| {
        BUNDLES
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.is_file())
    });
    let directories = tls
        .system_directories
        .iter()
        .flatten()
        .filter_map(|directory| std::fs::read_dir(directory).ok());
    let listed =
        directories.flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())));
    let mut found: Vec<_> = bundle
        .into_iter()
        .chain(listed)
        .flat_map(|path| certificates(&path))
        .collect();
    if found.is_empty() {
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        found.extend(bundled.filter_map(|certificate| Certificate::from_der(certificate).ok()));
    }
    found.extend(tls.certificates.iter().flat_map(|path| certificates(path)));
    found
}

/// What is missing or unreadable is passed over; the registry client has complained about files that were named.
fn certificates(path: &std::path::Path) -> Vec<Certificate> {
    let bytes = std::fs::read(path).unwrap_or_default();
    Certificate::from_pem_bundle(&bytes).unwrap_or_default()
}

fn proxies(options: &Options) -> reqwest::Result<Vec<Proxy>> {
    let direct = format!(
        "localhost,127.0.0.0/8,::1,{}",
        options.proxies.no_proxy.as_deref().unwrap_or_default()
    );
    let direct = || NoProxy::from_string(&direct);
    let http = options
        .proxies
        .http
        .iter()
        .map(|proxy| Proxy::http(proxy.expose()));
    let https = options
        .proxies
        .https
        .iter()
        .map(|proxy| Proxy::https(proxy.expose()));
    http.chain(https)
        .map(|proxy| Ok(proxy?.no_proxy(direct())))
        .collect()
}
