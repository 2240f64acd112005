//! [`Client`]: the way to every registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use reqwest::Response;
use url::Url;
use yadokari_image::Repository;

use crate::authorize::{Access, Scopes};
use crate::download::from_offset;
use crate::endpoint::{Contact, Contacts, Endpoint, Purpose};
use crate::held::Held;
use crate::response::rejection;
use crate::transport::{Caller, Request, Transport};
use crate::{Cause, ClientError, Operation, Options, RegistryError};

/// A client for any number of registries.
///
/// Cheap to clone; clones share connections, tokens and what was learnt about each
/// registry. All methods may be called at the same time.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) transport: Transport,
    pub(crate) access: Access,
    pub(crate) held: Held,
    contacts: Contacts,
    /// Which of a repository's places answered last.
    pub(crate) preferred: Mutex<HashMap<Repository, usize>>,
}

/// A request in the making, once the registry's address is known.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) operation: Operation,
    pub(crate) scopes: Scopes,
}

impl Client {
    /// Makes a client. Certificate files are read now; no registry is contacted.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if a file that was named cannot be used, or a proxy is no URL.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let inner = Inner {
            transport: Transport::new(&options)?,
            contacts: Contacts::new(&options),
            access: Access::default(),
            held: Held::default(),
            preferred: Mutex::default(),
            options,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    /// Sends what `request` makes until an answer comes that is final.
    pub(crate) async fn call<'r>(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Contact) -> Request<'r>,
    ) -> Result<Response, RegistryError> {
        let policy = call
            .endpoint
            .retry(self.options.tries(call.endpoint.purpose));
        policy.run(|| self.call_once(call, &request)).await
    }

    /// Sends what `request` makes; the answer is a success.
    pub(crate) async fn call_once<'r>(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Contact) -> Request<'r>,
    ) -> Result<Response, RegistryError> {
        let contact = self.meet(call.endpoint).await?;
        self.send_authorized(call.endpoint, &contact, &call.scopes, &request(&contact))
            .await
            .map_err(|cause| call.failed(cause))
    }

    /// Reads from a place that a document names, without credentials and without special trust.
    pub(crate) async fn fetch_elsewhere(&self, url: &str, offset: u64) -> Result<Response, Cause> {
        let refused = || Cause::Redirect {
            target: url.split('?').next().unwrap_or_default().to_owned(),
        };
        let url = Url::parse(url).map_err(|_| refused())?;
        let host = url.host_str().ok_or_else(refused)?.to_owned();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused());
        }
        let caller = Caller {
            registry: &host,
            purpose: Purpose::Pull,
        };
        let request = from_offset(url, offset);
        let response = self.transport.send(caller, &request, None).await?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(rejection(response, self.transport.patience()).await),
        }
    }

    pub(crate) async fn meet(&self, endpoint: &Endpoint) -> Result<Arc<Contact>, RegistryError> {
        self.contacts
            .meet(&self.transport, endpoint)
            .await
            .map_err(|cause| failed(endpoint, Operation::Connect, cause))
    }
}

impl Call<'_> {
    /// Puts place and operation to a cause.
    pub(crate) fn failed(&self, cause: Cause) -> RegistryError {
        failed(self.endpoint, self.operation.clone(), cause)
    }
}

/// Puts place and operation to a cause.
pub(crate) fn failed(endpoint: &Endpoint, operation: Operation, cause: Cause) -> RegistryError {
    RegistryError {
        registry: endpoint.repository.registry().to_owned(),
        repository: endpoint.repository.path().to_owned(),
        operation,
        cause: Box::new(cause),
    }
}

/// Adds `name=value` to a URL, leaving what is there untouched.
pub(crate) fn with_query(mut url: Url, name: &str, value: &str) -> Url {
    url.query_pairs_mut().append_pair(name, value);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_and_its_requests_may_move_between_threads() {
        fn shared<T: Clone + Send + Sync + 'static>(_: &T) {}
        fn movable<T: Send>(_: T) {}
        let client = Client::new(Options::default()).unwrap();
        shared(&client);
        let repository = Repository::parse("a").unwrap();
        let reference = repository.with_tag("1").unwrap();
        let digest = yadokari_image::Digest::of(b"");
        let blob = yadokari_image::Descriptor::of("", b"");
        let source = bytes::Bytes::new();
        let platform = yadokari_image::Platform::host();
        movable(client.manifest(&reference, crate::Accept::default()));
        movable(client.head_manifest(&reference));
        movable(client.resolve_image(&reference, &platform));
        movable(client.blob(&repository, &blob));
        movable(client.blob_exists(&repository, digest));
        movable(client.push_blob(&repository, digest, 0, &source));
        movable(client.mount_blob(&repository, digest, &repository));
        movable(client.check_push(&repository));
        movable(client.put_manifest(&reference, source.clone(), ""));
        movable(client.tags(&repository));
        movable(client.referrers(&repository, digest));
        movable(client.delete(&reference));
    }
}
