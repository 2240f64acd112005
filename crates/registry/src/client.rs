//! [`Client`]: the way to every registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Response;
use url::Url;
use yadokari_image::Repository;

use crate::authorize::{Access, Scopes};
use crate::endpoint::{Contact, Contacts, Endpoint, Purpose};
use crate::transport::{Request, Transport};
use crate::{Cause, ClientError, Mirror, Operation, Options, RegistryError, host};

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
    contacts: Contacts,
    /// Which of a repository's places answered last.
    preferred: Mutex<HashMap<Repository, usize>>,
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
            contacts: Contacts::new(options.insecure.clone()),
            access: Access::default(),
            preferred: Mutex::default(),
            options,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    /// The places to pull a repository from, the one that answered last first.
    pub(crate) fn pull_endpoints(&self, repository: &Repository) -> Vec<(usize, Endpoint)> {
        let mut places: Vec<(usize, Endpoint)> =
            self.places(repository).into_iter().enumerate().collect();
        let preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = preferred.get(repository).filter(|at| **at < places.len()) {
            places[..=*at].rotate_right(1);
        }
        places
    }

    fn places(&self, repository: &Repository) -> Vec<Endpoint> {
        let registry = host::canonical(repository.registry());
        let mapped = self
            .options
            .registry_map
            .get(registry)
            .into_iter()
            .flatten();
        let mirrors = self
            .options
            .mirrors
            .iter()
            .filter(|_| registry == host::DOCKER_HUB);
        let mut places: Vec<Endpoint> = mapped
            .chain(mirrors)
            .filter_map(|mirror| on_mirror(mirror, repository))
            .collect();
        if places.is_empty() || !self.options.skip_default_registry_fallback {
            places.push(Endpoint::new(repository, Purpose::Pull));
        }
        let last = places.len() - 1;
        for place in &mut places[..last] {
            place.has_alternative = true;
        }
        places
    }

    /// Remembers which of a repository's places answered.
    pub(crate) fn prefer(&self, repository: &Repository, at: usize) {
        let preferred = self.preferred.lock();
        let mut preferred = preferred.unwrap_or_else(PoisonError::into_inner);
        preferred.insert(repository.clone(), at);
    }

    /// Sends what `request` makes until an answer comes that is final.
    pub(crate) async fn call<'r>(
        &self,
        call: &Call<'_>,
        request: impl Fn(&Contact) -> Request<'r>,
    ) -> Result<Response, RegistryError> {
        let policy = call.endpoint.retry(self.options.retry);
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

fn on_mirror(mirror: &Mirror, repository: &Repository) -> Option<Endpoint> {
    Some(Endpoint {
        repository: mirror.repository(repository)?,
        purpose: Purpose::Pull,
        plain_http: mirror.plain_http(),
        has_alternative: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(image: &str, skip: bool) -> Vec<String> {
        let client = Client::new(Options {
            mirrors: vec![Mirror::parse("m1").unwrap(), Mirror::parse("m2/p").unwrap()],
            registry_map: [("ghcr.io".to_owned(), vec![Mirror::parse("map:1").unwrap()])].into(),
            skip_default_registry_fallback: skip,
            ..Options::default()
        });
        let repository = Repository::parse(image).unwrap();
        let endpoints = client.unwrap().inner.pull_endpoints(&repository);
        endpoints
            .into_iter()
            .map(|(_, endpoint)| endpoint.repository.to_string())
            .collect()
    }

    #[test]
    fn mirrors_come_before_the_registry_itself() {
        assert_eq!(
            places("a", false),
            ["m1/library/a", "m2/p/library/a", "docker.io/library/a"]
        );
        assert_eq!(places("a", true), ["m1/library/a", "m2/p/library/a"]);
        assert_eq!(places("ghcr.io/a", false), ["map:1/a", "ghcr.io/a"]);
        assert_eq!(places("quay.io/a", true), ["quay.io/a"]);
    }

    #[test]
    fn the_place_that_answered_is_asked_first() {
        let client = Client::new(Options {
            mirrors: vec![Mirror::parse("m1").unwrap(), Mirror::parse("m2").unwrap()],
            ..Options::default()
        })
        .unwrap();
        let repository = Repository::parse("a").unwrap();
        client.inner.prefer(&repository, 1);
        let order: Vec<usize> = client
            .inner
            .pull_endpoints(&repository)
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(order, [1, 0, 2]);
    }

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
        movable(client.delete(&reference));
    }
}
