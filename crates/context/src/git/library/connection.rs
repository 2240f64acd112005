//! One repository on one server, as the library sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::protocol::transport::Protocol;
use gix_transport::client::blocking_io::http::Transport;
use tokio::runtime::Handle;
use url::Url;

use crate::git::library::http::{Authorization, Web};
use crate::git::{GitCredentials, GitError};
use crate::web::Patience;

/// Where a repository is, and how it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The address without credentials.
    pub(crate) remote: String,
    /// What the server wants to see.
    credentials: Option<GitCredentials>,
    pub(crate) way: Way,
}

/// How servers are reached.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) client: reqwest::Client,
    pub(crate) patience: Arc<dyn Patience>,
    pub(crate) runtime: Handle,
    /// Set when the result is not wanted any more.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Connection {
    /// Takes an address that the library can read.
    pub(crate) fn new(
        remote: &str,
        credentials: Option<&GitCredentials>,
        way: Way,
    ) -> Result<Self, GitError> {
        if web_address(remote).is_none() {
            return Err(GitError::NoGit {
                remote: remote.to_owned(),
                reason: "without it, only http:// and https:// are spoken",
            });
        }
        Ok(Self {
            remote: remote.to_owned(),
            credentials: credentials.cloned(),
            way,
        })
    }

    /// Another repository, with these credentials if it is on the same server and has none of its own.
    pub(crate) fn to(
        &self,
        remote: &str,
        credentials: Option<&GitCredentials>,
    ) -> Result<Self, GitError> {
        let origin = |address: &str| web_address(address).map(|url| url.origin());
        let ours = self.credentials.as_ref();
        let shared = ours.filter(|_| origin(remote) == origin(&self.remote));
        Self::new(remote, credentials.or(shared), self.way.clone())
    }

    /// Does what speaks to the server, again where it may only be busy.
    pub(crate) fn ask<T>(
        &self,
        command: &str,
        mut work: impl FnMut() -> gix::Result<T>,
    ) -> Result<T, GitError> {
        let mut attempt = 1;
        loop {
            let error = match work() {
                Ok(done) => return Ok(done),
                Err(error) => self.failed(command, &error),
            };
            let wait = error.wait(self.way.patience.as_ref(), attempt);
            let Some(wait) = wait.filter(|_| !self.is_stopped()) else {
                return Err(error);
            };
            self.way.runtime.block_on(tokio::time::sleep(wait));
            attempt += 1;
        }
    }

    /// Whether the result is not wanted any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.way.stop.load(Ordering::Relaxed)
    }

    /// A fresh transport; nothing is sent yet.
    pub(crate) fn transport(&self) -> gix::Result<Transport<Web>> {
        let url = gix::url::parse(self.remote.as_str())?;
        let authorization = self.authorization();
        let (client, runtime) = (self.way.client.clone(), self.way.runtime.clone());
        let web = Web::new(client, runtime, authorization);
        Ok(Transport::new_http(web, url, Protocol::V2, false))
    }

    fn authorization(&self) -> Option<Authorization> {
        let origin = web_address(&self.remote)?.origin();
        let value = self.credentials.as_ref()?.authorization();
        let mut value = reqwest::header::HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some(Authorization { origin, value })
    }

    /// An error that tells what was tried, and nothing secret.
    pub(crate) fn failed(&self, command: &str, error: &gix::Error) -> GitError {
        let mut parts: Vec<String> = Vec::new();
        for part in error.iter_errors().map(ToString::to_string) {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        self.failure(command, &parts.join(": "))
    }

    /// As [`Connection::failed`], in words.
    pub(crate) fn failure(&self, command: &str, message: &str) -> GitError {
        GitError::Failed {
            command: command.to_owned(),
            remote: self.remote.clone(),
            message: GitCredentials::redacted(self.credentials.as_ref(), message),
        }
    }
}

fn web_address(remote: &str) -> Option<Url> {
    let url = Url::parse(remote).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}
