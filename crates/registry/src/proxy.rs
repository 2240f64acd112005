//! Proxies: which requests go through one, and what it is called in messages.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{NoProxy, Proxy};
use url::Url;

use crate::{ClientError, Options, Secret};

/// The proxies that the options name.
pub(crate) struct Ways {
    list: Vec<Proxy>,
    matcher: Matcher,
}

impl Ways {
    /// Reads them. What is on this machine is always reached directly.
    pub(crate) fn new(options: &Options) -> Result<Self, ClientError> {
        let settings = &options.proxies;
        let direct = format!(
            "localhost,127.0.0.0/8,::1,{}",
            settings.no_proxy.as_deref().unwrap_or_default()
        );
        let mut matcher = Matcher::builder().no(direct.clone());
        let direct = NoProxy::from_string(&direct);
        let mut list = Vec::new();
        if let Some(proxy) = &settings.http {
            matcher = matcher.http(address(proxy));
            list.push(made("http", proxy, Proxy::http)?.no_proxy(direct.clone()));
        }
        if let Some(proxy) = &settings.https {
            matcher = matcher.https(address(proxy));
            list.push(made("https", proxy, Proxy::https)?.no_proxy(direct));
        }
        let matcher = matcher.build();
        Ok(Self { list, matcher })
    }

    /// All of them, for a client.
    pub(crate) fn list(&self) -> impl Iterator<Item = Proxy> {
        self.list.iter().cloned()
    }

    /// Host and port of the proxy that requests to `url` go through.
    pub(crate) fn of(&self, url: &Url) -> Option<String> {
        let proxy = self.matcher.intercept(&url.as_str().parse().ok()?)?;
        let host = proxy.uri().host()?;
        Some(match proxy.uri().port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ways")
            .field("proxies", &self.list.len())
            .finish_non_exhaustive()
    }
}

fn made(
    scheme: &'static str,
    proxy: &Secret,
    build: fn(String) -> reqwest::Result<Proxy>,
) -> Result<Proxy, ClientError> {
    build(address(proxy)).map_err(|_| ClientError::Proxy {
        scheme,
        proxy: proxy.clone(),
    })
}

/// Names are left to a SOCKS proxy to look up, as programs in Go leave them.
fn address(proxy: &Secret) -> String {
    match proxy.expose().strip_prefix("socks5://") {
        Some(rest) => format!("socks5h://{rest}"),
        None => proxy.expose().to_owned(),
    }
}
