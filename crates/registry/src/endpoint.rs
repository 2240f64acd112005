//! First contact with a registry: which protocol it speaks and which credentials it wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Method, StatusCode};
use tokio::sync::OnceCell;
use url::Url;
use yadokari_image::Repository;

use crate::challenge::{self, Challenge};
use crate::error::ConnectProblem;
use crate::response::rejection;
use crate::transport::{Caller, Request, Transport};
use crate::{Cause, Options, RetryPolicy, Scope, host};

/// Whether a request reads or writes, for settings that tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Pull,
    Push,
}

/// A repository at the registry or mirror that is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) repository: Repository,
    pub(crate) purpose: Purpose,
    /// Whether the user named this place with `http://`.
    pub(crate) plain_http: bool,
    /// Whether another place will be asked if this one fails.
    pub(crate) has_alternative: bool,
}

/// What is known about a registry after the first request.
#[derive(Debug)]
pub(crate) struct Contact {
    /// `https://host/`
    pub(crate) base: Url,
    challenge: Mutex<Option<Challenge>>,
}

/// The registries met so far. Each is greeted once, however many requests wait for it.
#[derive(Debug)]
pub(crate) struct Contacts {
    insecure: Scope,
    skip_tls_verify: Scope,
    met: Mutex<HashMap<Manner, Greeting>>,
}

/// A registry, whether it may be spoken to in the clear, and whether its certificate is checked.
///
/// One greeting serves pulls and pushes where nothing of that differs between them.
type Manner = (String, bool, bool);

/// The outcome of a greeting, once there is one.
type Greeting = Arc<OnceCell<Arc<Contact>>>;

impl Endpoint {
    pub(crate) fn new(repository: &Repository, purpose: Purpose) -> Self {
        Self {
            repository: repository.clone(),
            purpose,
            plain_http: false,
            has_alternative: false,
        }
    }

    /// How often to try: once more is enough where another place can be asked.
    pub(crate) fn retry(&self, policy: RetryPolicy) -> RetryPolicy {
        let most = if self.has_alternative { 2 } else { u32::MAX };
        RetryPolicy {
            attempts: policy.attempts.min(most),
            ..policy
        }
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            registry: self.repository.registry(),
            purpose: self.purpose,
        }
    }
}

impl Contact {
    /// The URL of something in a repository, such as `manifests/latest`.
    pub(crate) fn url(&self, repository: &Repository, rest: &str) -> Url {
        self.base
            .join(&format!("v2/{}/{rest}", repository.path()))
            .expect("repository paths, tags and digests are made of URL characters")
    }

    pub(crate) fn challenge(&self) -> Option<Challenge> {
        self.challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn learn(&self, challenge: Challenge) {
        *self
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(challenge);
    }
}

impl Contacts {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            insecure: options.insecure.clone(),
            skip_tls_verify: options.skip_tls_verify.clone(),
            met: Mutex::default(),
        }
    }

    /// Greets the registry, or remembers the last greeting. A failed one is not remembered.
    pub(crate) async fn meet(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
    ) -> Result<Arc<Contact>, Cause> {
        let registry = endpoint.repository.registry();
        let plain = endpoint.plain_http
            || host::is_loopback(registry)
            || self.insecure.covers(registry, endpoint.purpose);
        let unchecked = self.skip_tls_verify.covers(registry, endpoint.purpose);
        let cell = {
            let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
            let manner = (registry.to_owned(), plain, unchecked);
            Arc::clone(met.entry(manner).or_default())
        };
        cell.get_or_try_init(|| greet(transport, endpoint.caller(), plain))
            .await
            .cloned()
    }
}

/// HTTPS first; plain HTTP only where that is allowed and TLS is not spoken.
async fn greet(
    transport: &Transport,
    caller: Caller<'_>,
    plain_allowed: bool,
) -> Result<Arc<Contact>, Cause> {
    let secure = ping(transport, caller, "https").await;
    let failure = match secure {
        Err(
            failure @ (Cause::Connect { .. } | Cause::Interrupted { .. } | Cause::Silent { .. }),
        ) if plain_allowed => failure,
        other => return other.map(|(contact, _)| contact),
    };
    let speaks_tls = matches!(
        failure,
        Cause::Connect {
            problem: ConnectProblem::UntrustedCertificate | ConnectProblem::InvalidCertificate,
            ..
        }
    );
    match ping(transport, caller, "http").await {
        // A TLS server answers plain HTTP with 400, so only another status is a registry's.
        Ok((_, StatusCode::BAD_REQUEST)) => Err(failure),
        Err(_) if speaks_tls => Err(failure),
        Ok((contact, _)) => Ok(contact),
        Err(plain_failure) => Err(plain_failure),
    }
}

async fn ping(
    transport: &Transport,
    caller: Caller<'_>,
    scheme: &str,
) -> Result<(Arc<Contact>, StatusCode), Cause> {
    let invalid = || Cause::Protocol {
        what: "the registry's host and port make no URL",
    };
    let base = format!("{scheme}://{}/", host::api(caller.registry));
    let base = Url::parse(&base).map_err(|_| invalid())?;
    let url = base.join("v2/").map_err(|_| invalid())?;
    let request = Request::new(Method::GET, url);
    let response = transport.send(caller, &request, None).await?;
    let status = response.status();
    let challenge = challenge::read(response.headers());
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Err(rejection(response, transport.patience()).await);
    }
    let wanted = (status == StatusCode::UNAUTHORIZED)
        .then_some(challenge)
        .flatten();
    let contact = Contact {
        base,
        challenge: Mutex::new(wanted),
    };
    Ok((Arc::new(contact), status))
}
