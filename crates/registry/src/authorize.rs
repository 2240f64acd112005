//! Sending a request with the first credential that the registry accepts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use yadokari_image::Repository;

use crate::challenge::{self, Challenge};
use crate::client::Inner;
use crate::cloud::CloudError;
use crate::credentials::{Candidate, Candidates, Credential, CredentialError};
use crate::endpoint::{Contact, Endpoint};
use crate::response::rejection;
use crate::token::{self, TokenKey, TokenServer, Tokens};
use crate::transport::{Authorization, Request};
use crate::{Cause, Secret};

/// What a request needs the right to do, in the words of the token protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scopes(Vec<String>);

impl Scopes {
    pub(crate) fn pull(repository: &Repository) -> Self {
        Self(vec![scope(repository, "pull")])
    }

    pub(crate) fn push(repository: &Repository) -> Self {
        Self(vec![scope(repository, "pull,push")])
    }

    /// Pushing to one repository what comes from another.
    pub(crate) fn mount(repository: &Repository, from: &Repository) -> Self {
        Self(vec![scope(repository, "pull,push"), scope(from, "pull")])
    }

    /// Nothing but being who we are.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn delete(repository: &Repository) -> Self {
        Self(vec![scope(repository, "delete")])
    }
}

fn scope(repository: &Repository, actions: &str) -> String {
    format!("repository:{}:{actions}", repository.path())
}

/// What was learnt about credentials so far.
#[derive(Debug, Default)]
pub(crate) struct Access {
    tokens: Tokens,
    /// Which candidate worked last, by registry and scopes.
    accepted: Mutex<HashMap<(String, Scopes), usize>>,
    candidates: tokio::sync::Mutex<HashMap<Repository, (Instant, Arc<Candidates>)>>,
}

/// How long candidates are used before their sources are asked again, because helpers hand out
/// credentials that expire.
const CANDIDATES_LIVE: Duration = Duration::from_secs(600);

/// What became of a request with one credential.
enum Attempt {
    Answer(Response),
    Refused { status: u16, reason: String },
}

/// An `Authorization` value, and the token in it, with whether that is new.
struct Presented {
    authorization: Option<Authorization>,
    token: Option<(TokenKey, Secret, bool)>,
}

impl Inner {
    /// Sends a request once, trying one credential after the other; the answer is a success.
    pub(crate) async fn send_authorized(
        &self,
        endpoint: &Endpoint,
        contact: &Contact,
        scopes: &Scopes,
        request: &Request<'_>,
    ) -> Result<Response, Cause> {
        let candidates = self.candidates(&endpoint.repository).await;
        let key = (endpoint.repository.registry().to_owned(), scopes.clone());
        let first = self.accepted(&key).min(candidates.found.len());
        let mut refusals = Vec::new();
        for at in first..=candidates.found.len() {
            let candidate = candidates.found.get(at);
            let attempt = self
                .attempt(endpoint, contact, scopes, request, candidate)
                .await?;
            match attempt {
                Attempt::Answer(response) => {
                    self.accept(key, at);
                    return self.finish(response).await;
                }
                Attempt::Refused { status, reason } => {
                    let source =
                        candidate.map_or("anonymous", |candidate| candidate.source.as_str());
                    refusals.push((source.to_owned(), status, reason));
                }
            }
        }
        self.accept(key, 0);
        Err(refused(refusals, &candidates))
    }

    /// Sends a request with one credential and no other; the answer is a success.
    pub(crate) async fn send_as(
        &self,
        endpoint: &Endpoint,
        contact: &Contact,
        scopes: &Scopes,
        request: &Request<'_>,
        candidate: &Candidate,
    ) -> Result<Response, Cause> {
        let attempt = self.attempt(endpoint, contact, scopes, request, Some(candidate));
        match attempt.await? {
            Attempt::Answer(response) => self.finish(response).await,
            Attempt::Refused { status, reason } => {
                let refusal = (candidate.source.clone(), status, reason);
                Err(refused(vec![refusal], &Candidates::default()))
            }
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        contact: &Contact,
        scopes: &Scopes,
        request: &Request<'_>,
        candidate: Option<&Candidate>,
    ) -> Result<Attempt, Cause> {
        // Three rounds at most: a challenge that comes late, a token that has gone stale, the answer.
        for round in 0..3 {
            let presented = match self.present(endpoint, contact, scopes, candidate).await {
                Ok(presented) => presented,
                Err(cause) => return refusal(cause),
            };
            let response = self
                .transport
                .send(endpoint.caller(), request, presented.authorization.as_ref())
                .await?;
            let elsewhere = response.url().origin() != contact.base.origin();
            match response.status() {
                StatusCode::UNAUTHORIZED if !elsewhere => {}
                StatusCode::FORBIDDEN if !elsewhere => return self.refuse(response).await,
                _ => return Ok(Attempt::Answer(response)),
            }
            let asked = challenge::read(response.headers());
            let late = contact.challenge().is_none() && asked.is_some();
            if let Some(asked) = asked.filter(|_| late) {
                contact.learn(asked);
            }
            let stale = match &presented.token {
                Some((key, token, fresh)) => {
                    self.access.tokens.discard(key, token).await;
                    !fresh
                }
                None => false,
            };
            if round == 2 || !(late || stale) {
                return self.refuse(response).await;
            }
        }
        unreachable!("the last round returns")
    }

    async fn refuse(&self, response: Response) -> Result<Attempt, Cause> {
        refusal(rejection(response, self.transport.patience()).await)
    }

    async fn present(
        &self,
        endpoint: &Endpoint,
        contact: &Contact,
        scopes: &Scopes,
        candidate: Option<&Candidate>,
    ) -> Result<Presented, Cause> {
        let own = |value| Authorization {
            value,
            origin: contact.base.origin(),
        };
        let plain = |value: Option<_>| Presented {
            authorization: value.map(own),
            token: None,
        };
        let credential = candidate.map(|candidate| &candidate.credential);
        match (contact.challenge(), credential) {
            (None, _) | (Some(Challenge::Basic), None) => Ok(plain(None)),
            (Some(Challenge::Basic), Some(Credential::Password { username, password })) => {
                Ok(plain(token::basic(username, password)))
            }
            (Some(Challenge::Basic), Some(_)) => Err(unusable()),
            (Some(Challenge::Bearer { .. }), Some(Credential::RegistryToken(token))) => {
                Ok(plain(token::bearer(token)))
            }
            (Some(Challenge::Bearer { realm, service }), credential) => {
                let server = TokenServer::parse(&contact.base, &realm, service)?;
                let source = candidate.map(|candidate| candidate.source.clone());
                let key = (server, scopes.0.clone(), source);
                let tokens = &self.access.tokens;
                let (token, fresh) = tokens
                    .obtain(&self.transport, endpoint.caller(), &key, credential)
                    .await?;
                Ok(Presented {
                    authorization: token::bearer(&token).map(own),
                    token: Some((key, token, fresh)),
                })
            }
            (Some(Challenge::Unknown(scheme)), _) => Err(Cause::UnknownScheme { scheme }),
        }
    }

    async fn finish(&self, response: Response) -> Result<Response, Cause> {
        if response.status().is_success() {
            return Ok(response);
        }
        Err(rejection(response, self.transport.patience()).await)
    }

    /// Credentials for a repository; the sources are asked one at a time.
    async fn candidates(&self, repository: &Repository) -> Arc<Candidates> {
        let mut known = self.access.candidates.lock().await;
        if let Some((since, candidates)) = known.get(repository)
            && since.elapsed() < CANDIDATES_LIVE
        {
            return Arc::clone(candidates);
        }
        let candidates = Arc::new(self.options.credentials.candidates(repository).await);
        for failure in &candidates.failures {
            match failure {
                // Images that are public in a cloud need no credentials.
                CredentialError::Cloud {
                    source: CloudError::NoIdentity { .. },
                    ..
                } => tracing::debug!(%failure),
                failure => tracing::warn!(%failure, "a source of credentials failed"),
            }
        }
        let entry = (Instant::now(), Arc::clone(&candidates));
        known.insert(repository.clone(), entry);
        candidates
    }

    fn accepted(&self, key: &(String, Scopes)) -> usize {
        let accepted = self.access.accepted.lock();
        let accepted = accepted.unwrap_or_else(PoisonError::into_inner);
        accepted.get(key).copied().unwrap_or_default()
    }

    fn accept(&self, key: (String, Scopes), at: usize) {
        let accepted = self.access.accepted.lock();
        accepted
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, at);
    }
}

/// A credential of a kind that Basic authentication has no place for.
fn unusable() -> Cause {
    Cause::Rejected {
        status: 401,
        code: None,
        message: "the registry wants a password, only a token is known".to_owned(),
        retry_after: None,
    }
}

/// Turns a refusal, by the registry or by its token server, into a reason to try the next credential.
fn refusal(cause: Cause) -> Result<Attempt, Cause> {
    match cause {
        Cause::Rejected {
            status: status @ (400 | 401 | 403),
            code,
            message,
            ..
        } => {
            let reason = match (code, message.as_str()) {
                (Some(code), "") => code,
                (None, "") => format!("status {status}"),
                _ => message,
            };
            Ok(Attempt::Refused { status, reason })
        }
        other => Err(other),
    }
}

/// The error after the last refusal: the reason is the one given to the first credential.
fn refused(mut refusals: Vec<(String, u16, String)>, candidates: &Candidates) -> Cause {
    let tried = refusals.iter().map(|(source, ..)| source.clone()).collect();
    let (_, status, reason) = match refusals.is_empty() {
        true => (String::new(), 401, String::new()),
        false => refusals.swap_remove(0),
    };
    Cause::NotAuthorized {
        status: if status == 400 { 401 } else { status },
        reason,
        tried,
        failures: candidates.failures.clone(),
    }
}
