//! Remote sources of ADD, looked at before keys are computed, because their content is part of them.
//!
//! With a cache, a file is not downloaded while something else says what it is: its checksum in the Dockerfile, or the
//! server, asked whether it is still what an earlier build found. Then it is fetched by the step that needs its bytes.

mod fetch;
mod look;
mod promise;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use yadokari_cache::{Fact, KnownDownload};
use yadokari_context::{BuildContext, RemoteFile};
use yadokari_dockerfile::secret::redacted;
use yadokari_image::Digest;
use yadokari_plan::{Copy, Plan, Remote};
use yadokari_rootfs::Root;
use yadokari_tree::Tree;

use crate::caching::lookup::Caches;
use crate::error::BuildError;
use crate::request::BuildRequest;
use crate::services::Services;

pub(crate) use fetch::fetch;

use look::wanted;
use promise::Promise;

/// What was fetched for a source.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// A downloaded file.
    File(RemoteFile),
    /// A checked out repository.
    Git {
        root: Arc<Root>,
        tree: Tree,
        /// Where it came from, without credentials.
        remote: String,
        commit: String,
        /// What decides its files.
        identity: String,
        /// When the commit was made, in seconds since 1970.
        time: i64,
        _context: BuildContext,
    },
}

/// All remote sources of a plan.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    found: HashMap<Identity, Found>,
}

/// What is known of a source before any step runs.
#[derive(Debug)]
enum Found {
    /// It is here.
    Here {
        fetched: Arc<Fetched>,
        /// The cache has a note of another version.
        is_outdated: bool,
    },
    /// A file that is known without its bytes.
    Promised(Box<Promise>),
}

/// Where remote sources are looked up and kept.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) services: &'a Services,
    pub(crate) scratch: &'a Path,
    /// What earlier builds left, if there is a cache.
    pub(crate) caches: Option<&'a Caches>,
}

/// How many sources are fetched at the same time.
const AT_ONCE: usize = 4;

/// What makes two sources the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    url: String,
    checksum: Option<String>,
    keep_git_dir: Option<bool>,
}

impl Identity {
    fn of(remote: &Remote) -> Self {
        Self {
            url: remote.url.clone(),
            checksum: remote.checksum.clone(),
            keep_git_dir: remote.keep_git_dir,
        }
    }
}

impl Remotes {
    /// Looks at every remote source of the plan once, several at a time.
    pub(crate) async fn look(plan: &Plan, ground: Ground<'_>) -> Result<Self, BuildError> {
        let looks = wanted(plan, ground.request)
            .into_iter()
            .map(|(identity, wanted)| async move {
                let found = wanted.look(ground).await;
                Ok::<_, BuildError>((identity, found.map_err(|error| error.at(wanted.span))?))
            });
        let found = stream::iter(looks.collect::<Vec<_>>())
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { found })
    }

    /// A copy's remote sources, in their order; what was only promised is fetched.
    pub(crate) async fn fetched(
        &self,
        copy: &Copy,
        services: &Services,
        scratch: &Path,
    ) -> Result<Vec<Arc<Fetched>>, BuildError> {
        let mut all = Vec::new();
        for found in self.of(copy) {
            all.push(match found {
                Found::Here { fetched, .. } => Arc::clone(fetched),
                Found::Promised(promise) => promise.keep(services, scratch).await?,
            });
        }
        Ok(all)
    }

    /// Files that are what they are said to be.
    #[cfg(test)]
    pub(crate) fn said(files: &[(Remote, Digest)]) -> Self {
        let found = files.iter().map(|(remote, digest)| {
            let wish = yadokari_context::Download {
                url: remote.url.clone(),
                ..Default::default()
            };
            let promise = Promise::new(wish, *digest, promise::Promiser::Server(None));
            (Identity::of(remote), Found::Promised(Box::new(promise)))
        });
        Self {
            found: found.collect(),
        }
    }

    fn of(&self, copy: &Copy) -> impl Iterator<Item = &Found> {
        let remotes = copy.remotes.iter();
        remotes.map(|remote| &self.found[&Identity::of(remote)])
    }

    /// Notes for the next build what was downloaded, where the server can be asked about it.
    pub(crate) async fn note(&self, caches: &Caches, made: &str) {
        let notes = self.found.iter().filter_map(|(identity, found)| {
            let (file, is_outdated) = found.downloaded().filter(|_| is_noted(&identity.url))?;
            let known = KnownDownload {
                made: made.to_owned(),
                digest: file.digest,
                etag: file.validators.etag.clone(),
                last_modified: file.validators.last_modified.clone(),
            };
            // What is of no use itself is still written over what is wrong.
            let is_wanted = file.validators.can_be_asked_about() || is_outdated;
            is_wanted.then_some((&identity.url, known))
        });
        for (url, known) in notes {
            if let Err(error) = caches.main().save_download(url, &known).await {
                // Layers that could not be written were told of; this alone is no loss worth a warning.
                tracing::debug!(%error, "writing what is known of a download");
            }
        }
    }

    /// What a copy's remote sources are, for people.
    pub(crate) fn facts(&self, copy: &Copy) -> Vec<Fact> {
        let remotes = copy.remotes.iter().zip(self.of(copy));
        remotes.map(|(remote, found)| found.fact(remote)).collect()
    }

    /// The digest of a copy's remote sources.
    pub(crate) fn digest(&self, copy: &Copy) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for (remote, found) in copy.remotes.iter().zip(self.of(copy)) {
            hasher.update(found.identity(remote));
        }
        hasher.finalize().into()
    }
}

fn host(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    url.host_str().map(str::to_owned)
}

/// Whether the cache knows a URL: what would be its name there is a digest of it, by which a secret in it could be guessed.
/// And one that is signed for each job anew is never asked for again.
fn is_noted(url: &str) -> bool {
    redacted(url) == url
}

impl Found {
    /// The file, if it was downloaded, and whether a note of another version has to go.
    fn downloaded(&self) -> Option<(&RemoteFile, bool)> {
        let Self::Here {
            fetched,
            is_outdated,
        } = self
        else {
            return None;
        };
        match &**fetched {
            Fetched::File(file) => Some((file, *is_outdated)),
            Fetched::Git { .. } => None,
        }
    }

    /// What the source is: of a file's address only the host is told, since any other part may be secret.
    fn fact(&self, remote: &Remote) -> Fact {
        let fact = |name, value| Fact {
            name,
            value: Some(value),
        };
        if let Self::Here { fetched, .. } = self
            && let Fetched::Git { remote, commit, .. } = &**fetched
        {
            let digits: String = commit.chars().take(12).collect();
            return fact(format!("the commit of {remote}"), format!("`{digits}`"));
        }
        let host = host(&remote.url).unwrap_or_default();
        let digest = Digest::of(self.identity(remote).as_bytes());
        fact(
            format!("the file of {host}"),
            format!("#{}", &digest.hex()[..16]),
        )
    }

    /// What decides the files, as a line.
    fn identity(&self, remote: &Remote) -> String {
        let file = |name: &str, digest: Digest, modified: Option<i64>| {
            format!("file {name:?} {digest} {}\n", modified.unwrap_or(0))
        };
        match self {
            Self::Promised(promise) => file(&promise.name, promise.digest, promise.modified()),
            Self::Here { fetched, .. } => match &**fetched {
                Fetched::File(here) => {
                    let modified = here.last_modified.map(|time| time.seconds);
                    // A key by checksum is the same whether the file was fetched for it or not.
                    let modified = modified.filter(|_| remote.checksum.is_none());
                    file(&here.name, here.digest, modified)
                }
                Fetched::Git { identity, .. } => format!("git {identity}\n"),
            },
        }
    }
}
