//! Repositories without the git executable, through the library `gix`.
//!
//! What goes over the network takes the way of all other downloads: the library speaks
//! git's protocol, and a client of the caller's carries it. Nothing of the machine's or the user's
//! configuration is read, and no program is started.

mod connection;
mod fetch;
mod http;
mod submodules;
mod worktree;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connection::{Connection, Way};
use tokio::runtime::Handle;

use crate::git::remote::{RemoteCommit, check};
use crate::git::{CheckoutOptions, GitError, GitReference};
use crate::web::{Once, Patience};

/// Reads repositories over `http://` and `https://` without the git executable.
///
/// Addresses that only the program can read, ssh ones for instance, are [`GitError::NoGit`].
#[derive(Debug, Clone)]
pub struct GitLibrary {
    client: reqwest::Client,
    unverified: reqwest::Client,
    patience: Arc<dyn Patience>,
}

impl GitLibrary {
    /// Fetches with `client`, and with `unverified`, which takes any certificate, where
    /// [`CheckoutOptions::insecure_tls`] says so.
    #[must_use]
    pub fn new(client: reqwest::Client, unverified: reqwest::Client) -> Self {
        Self {
            client,
            unverified,
            patience: Arc::new(Once),
        }
    }

    pub(crate) fn with_patience(self, patience: Arc<dyn Patience>) -> Self {
        Self { patience, ..self }
    }

    /// Which commit is meant, as the server tells.
    pub(crate) async fn ask(
        &self,
        reference: &GitReference,
        options: &CheckoutOptions,
    ) -> Result<RemoteCommit, GitError> {
        let stop = StopOnDrop::default();
        let connection = self.connection(reference, options, &stop)?;
        let name = reference.reference.clone();
        blocking(&reference.remote, move || {
            fetch::ask(&connection, name.as_deref())
        })
        .await
    }

    /// Fetches and checks out into `tree`; gives the commit and its time.
    pub(crate) async fn fill(
        &self,
        reference: &GitReference,
        wanted: &RemoteCommit,
        options: &CheckoutOptions,
        tree: &Path,
    ) -> Result<(String, i64), GitError> {
        let stop = StopOnDrop::default();
        let connection = self.connection(reference, options, &stop)?;
        let remote = &reference.remote;
        let (reference, wanted) = (reference.clone(), wanted.clone());
        let (depth, tree) = (options.depth, tree.to_path_buf());
        let submodules = reference.submodules.unwrap_or(options.submodules);
        blocking(remote, move || {
            let what = fetch::Wanted::of(&reference, &wanted);
            let fetched = fetch::fetch(&connection, &tree, &what, depth)?;
            let commit = fetched.commit.to_string();
            // The branch may have moved since it was asked for.
            let found = RemoteCommit { commit, name: None };
            check(&reference, &found)?;
            let index = worktree::check_out(&connection, &fetched, &tree)?;
            if submodules {
                submodules::fetch_all(&connection, &fetched, &index, &tree, depth)?;
            }
            Ok((found.commit, fetched.time))
        })
        .await
    }

    fn connection(
        &self,
        reference: &GitReference,
        options: &CheckoutOptions,
        stop: &StopOnDrop,
    ) -> Result<Connection, GitError> {
        let credentials = reference.credentials.as_ref();
        let client = match options.insecure_tls {
            true => &self.unverified,
            false => &self.client,
        };
        let way = Way {
            client: client.clone(),
            patience: Arc::clone(&self.patience),
            runtime: Handle::current(),
            stop: Arc::clone(&stop.0),
        };
        let credentials = credentials.or(options.credentials.as_ref());
        Connection::new(&reference.remote, credentials, way)
    }
}

/// Ends work in another thread when nobody waits for it any more.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    remote: &str,
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|stopped| {
        Err(GitError::Failed {
            command: "fetch".to_owned(),
            remote: remote.to_owned(),
            message: stopped.to_string(),
        })
    })
}
