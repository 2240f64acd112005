//! Remote sources of ADD, looked at before keys are computed, because their content is part of them.
//!
//! With a cache, a file is not downloaded while something else says what it is: its checksum in the Dockerfile, or the
//! server, asked whether it is still what an earlier build found. Then it is fetched by the step that needs its bytes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use yadokari_cache::KnownDownload;
use yadokari_context::{
    BuildContext, CheckoutOptions, Download, GitCredentials, GitReference, RemoteFile, Validators,
    authorization, download, download_if_changed, file_name, keep_all, parse_checksum,
};
use yadokari_dockerfile::Span;
use yadokari_image::Digest;
use yadokari_plan::{Copy, Operation, Plan, Remote};
use yadokari_rootfs::Root;
use yadokari_tree::Tree;

use crate::caching::lookup::Caches;
use crate::error::{BuildError, BuildErrorKind};
use crate::prepare::inputs::checkout_options;
use crate::request::{BuildRequest, SecretSource};
use crate::services::Services;

/// What was fetched for a source.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// A downloaded file.
    File(RemoteFile),
    /// A checked out repository.
    Git {
        root: Arc<Root>,
        tree: Tree,
        commit: String,
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
    Here(Arc<Fetched>),
    /// A file that is known without its bytes.
    Promised(Box<Promise>),
}

/// A file that is fetched when a step needs its bytes.
#[derive(Debug)]
struct Promise {
    request: Download,
    name: String,
    digest: Digest,
    /// When the server says it was last changed; not known where the Dockerfile has the checksum.
    modified: Option<i64>,
    kept: OnceCell<Arc<Fetched>>,
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
        let looks = wanted(plan)
            .into_iter()
            .map(|(identity, (remote, span))| async move {
                let found = look(remote, ground).await;
                Ok::<_, BuildError>((identity, found.map_err(|error| error.at(span))?))
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
                Found::Here(fetched) => Arc::clone(fetched),
                Found::Promised(promise) => promise.keep(services, scratch).await?,
            });
        }
        Ok(all)
    }

    fn of(&self, copy: &Copy) -> impl Iterator<Item = &Found> {
        let remotes = copy.remotes.iter();
        remotes.map(|remote| &self.found[&Identity::of(remote)])
    }

    /// Notes for the next build what was downloaded, where the server can be asked about it.
    pub(crate) async fn note(&self, caches: &Caches, made: &str) {
        let notes = self.found.iter().filter_map(|(identity, found)| {
            let Found::Here(fetched) = found else {
                return None;
            };
            let Fetched::File(file) = &**fetched else {
                return None;
            };
            let known = KnownDownload {
                made: made.to_owned(),
                digest: file.digest,
                etag: file.validators.etag.clone(),
                last_modified: file.validators.last_modified.clone(),
            };
            (!file.validators.is_empty()).then_some((&identity.url, known))
        });
        for (url, known) in notes {
            if let Err(error) = caches.main().save_download(url, &known).await {
                // Layers that could not be written were told of; this alone is no loss worth a warning.
                tracing::debug!(%error, "writing what is known of a download");
            }
        }
    }

    /// The digest of a copy's remote sources.
    pub(crate) fn digest(&self, copy: &Copy) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let file = |name: &str, digest: Digest, modified: Option<i64>| {
            format!("file {name:?} {digest} {}\n", modified.unwrap_or(0))
        };
        for (remote, found) in copy.remotes.iter().zip(self.of(copy)) {
            hasher.update(match found {
                Found::Promised(promise) => file(&promise.name, promise.digest, promise.modified),
                Found::Here(fetched) => match &**fetched {
                    Fetched::File(here) => {
                        let modified = here.last_modified.map(|time| time.seconds);
                        // A key by checksum is the same whether the file was fetched for it or not.
                        let modified = modified.filter(|_| remote.checksum.is_none());
                        file(&here.name, here.digest, modified)
                    }
                    Fetched::Git { commit, .. } => format!("git {commit}\n"),
                },
            });
        }
        for remote in &copy.remotes {
            hasher.update(format!(
                "from {:?} {:?}\n",
                remote.git.then_some(&remote.url),
                remote.keep_git_dir
            ));
        }
        hasher.finalize().into()
    }
}

impl Promise {
    /// Fetches the file, which must be what was promised.
    async fn keep(&self, services: &Services, scratch: &Path) -> Result<Arc<Fetched>, BuildError> {
        let fetched = self.kept.get_or_try_init(|| async {
            let file = download(&services.http, &self.request, scratch).await?;
            Ok::<_, BuildError>(Arc::new(Fetched::File(file)))
        });
        fetched.await.cloned()
    }
}

/// Finds out what a source is, with as few bytes as that takes.
async fn look(remote: &Remote, ground: Ground<'_>) -> Result<Found, BuildError> {
    let (request, services, scratch) = (ground.request, ground.services, ground.scratch);
    let here = |fetched| Found::Here(Arc::new(fetched));
    let Some(caches) = ground.caches.filter(|_| !remote.git) else {
        return fetch(remote, request, services, scratch).await.map(here);
    };
    let wanted = wish(remote, request)?;
    if let Some(checksum) = wanted.checksum {
        return Ok(promised(wanted, checksum, None));
    }
    let Some((known, seen)) = known_of(caches, &remote.url).await else {
        let file = download(&services.http, &wanted, scratch).await?;
        return Ok(here(Fetched::File(file)));
    };
    match download_if_changed(&services.http, &wanted, &seen, scratch).await? {
        Some(file) => Ok(here(Fetched::File(file))),
        None => {
            let modified = seen.time().map(|time| time.seconds);
            Ok(promised(wanted, known.digest, modified))
        }
    }
}

fn promised(request: Download, digest: Digest, modified: Option<i64>) -> Found {
    Found::Promised(Box::new(Promise {
        name: file_name(&request.url),
        request: Download {
            checksum: Some(digest),
            ..request
        },
        digest,
        modified,
        kept: OnceCell::new(),
    }))
}

/// What an earlier build noted of a URL; a cache that cannot say makes a download.
async fn known_of(caches: &Caches, url: &str) -> Option<(KnownDownload, Validators)> {
    let known = match caches.main().download(url).await {
        Ok(known) => known?,
        Err(error) => {
            tracing::debug!(%error, "reading what is known of a download");
            return None;
        }
    };
    let seen = Validators {
        etag: known.etag.clone(),
        last_modified: known.last_modified.clone(),
    };
    (!seen.is_empty()).then_some((known, seen))
}

/// What to ask a server for.
fn wish(remote: &Remote, request: &BuildRequest) -> Result<Download, BuildError> {
    Ok(Download {
        url: remote.url.clone(),
        headers: authorization(&remote.url, |name| secret(request, name)),
        checksum: remote.checksum.as_deref().map(parse_checksum).transpose()?,
        limit: None,
    })
}

/// Fetches one remote source.
pub(crate) async fn fetch(
    remote: &Remote,
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<Fetched, BuildError> {
    if remote.git {
        return checkout(remote, request, services, scratch).await;
    }
    let wanted = wish(remote, request)?;
    Ok(Fetched::File(
        download(&services.http, &wanted, scratch).await?,
    ))
}

/// A secret that authorizes downloads: `HTTP_AUTH_TOKEN_<host>` and the like.
fn secret(request: &BuildRequest, name: &str) -> Option<String> {
    match request.secrets.values.get(name)? {
        SecretSource::Value(value) => Some(String::from_utf8_lossy(value.expose()).into_owned()),
        SecretSource::File(path) => std::fs::read_to_string(path).ok(),
    }
}

/// Secrets that authorize git over http: for one host, or for all.
fn git_credentials(request: &BuildRequest, remote: &str) -> Option<GitCredentials> {
    let host = reqwest::Url::parse(remote).ok()?.host_str()?.to_owned();
    let find =
        |name: &str| secret(request, &format!("{name}.{host}")).or_else(|| secret(request, name));
    let token = || {
        let token = find("GIT_AUTH_TOKEN")?;
        GitCredentials::from_parts(Some(token.trim()), None, None)
    };
    match find("GIT_AUTH_HEADER") {
        Some(header) => Some(GitCredentials::Header(header.trim().to_owned())),
        None => token(),
    }
}

/// Every remote source of a plan, with the lines that name it first.
fn wanted(plan: &Plan) -> HashMap<Identity, (&Remote, Span)> {
    let mut wanted = HashMap::new();
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        if let Operation::Copy(copy) = &step.operation {
            for remote in &copy.remotes {
                let place = wanted.entry(Identity::of(remote));
                place.or_insert((remote, step.span));
            }
        }
    }
    wanted
}

async fn checkout(
    remote: &Remote,
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<Fetched, BuildError> {
    let Some(mut reference) = GitReference::parse(&remote.url)? else {
        return Err(
            BuildErrorKind::Refused(format!("{}: not a git repository", remote.url)).into(),
        );
    };
    if let Some(checksum) = &remote.checksum {
        reference.checksum = Some(checksum.clone());
    }
    let given = checkout_options(&request.contexts.git);
    let options = CheckoutOptions {
        keep_git_dir: remote.keep_git_dir,
        credentials: git_credentials(request, &reference.remote).or(given.credentials),
        ..given
    };
    let checkout = services.git.checkout(&reference, &options, scratch);
    let checkout = checkout.await?;
    let commit = checkout.commit().to_owned();
    let time = checkout.commit_time();
    let context = BuildContext::git(checkout)?;
    let files = context.files(&keep_all, services.threads)?;
    Ok(Fetched::Git {
        root: Arc::clone(files.root()),
        tree: files.tree().clone(),
        commit,
        time,
        _context: context,
    })
}
