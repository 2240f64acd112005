//! One HTTP client for all stores.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpService,
};

/// Hands out the same client whatever a store asks for, so that there is one set of roots, proxies and connections.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    client: reqwest::Client,
}

impl Shared {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self { client }
    }
}

impl HttpConnector for Shared {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        if !is_for_metadata(options) {
            return Ok(HttpClient::new(self.client.clone()));
        }
        Ok(HttpClient::new(Impatient {
            client: self.client.clone(),
        }))
    }
}

/// Metadata services are asked with the shortest time to connect that `object_store` has.
fn is_for_metadata(options: &ClientOptions) -> bool {
    let wait = options.get_config_value(&ClientConfigKey::ConnectTimeout);
    wait.is_some_and(|wait| wait == METADATA_CONNECT)
}

/// How `object_store` writes the time it gives metadata services to be there.
const METADATA_CONNECT: &str = "1s";

/// A metadata service answers at once or is not there.
const METADATA_LIMIT: Duration = Duration::from_secs(3);

/// The client, for a service that may well not exist.
#[derive(Debug)]
struct Impatient {
    client: reqwest::Client,
}

impl HttpService for Impatient {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> BoxFuture<'f, Result<HttpResponse, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        let late = |late| Err(HttpError::new(HttpErrorKind::Unknown, late));
        let answer = tokio::time::timeout(METADATA_LIMIT, self.client.call(request));
        answer
            .map(move |answer| answer.unwrap_or_else(late))
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_told_apart_by_their_time_to_connect() {
        let metadata = ClientOptions::new().with_connect_timeout(Duration::from_secs(1));
        assert!(is_for_metadata(&metadata));
        assert!(!is_for_metadata(&ClientOptions::new()));
    }
}
