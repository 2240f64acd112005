//! Remote sources of ADD, fetched before keys are computed, because their content is part of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use yadokari_context::{
    BuildContext, CheckoutOptions, Download, GitCredentials, GitReference, RemoteFile,
    authorization, download, keep_all, parse_checksum,
};
use yadokari_dockerfile::Span;
use yadokari_plan::{Copy, Operation, Plan, Remote};
use yadokari_rootfs::Root;
use yadokari_tree::Tree;

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
    fetched: HashMap<Identity, Arc<Fetched>>,
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
    /// Fetches every remote source of the plan once, several at a time.
    pub(crate) async fn fetch(
        plan: &Plan,
        request: &BuildRequest,
        services: &Services,
        scratch: &Path,
    ) -> Result<Self, BuildError> {
        let fetches = wanted(plan)
            .into_iter()
            .map(|(identity, (remote, span))| async move {
                let fetched = fetch(remote, request, services, scratch).await;
                let fetched = fetched.map_err(|error| error.at(span))?;
                Ok::<_, BuildError>((identity, Arc::new(fetched)))
            });
        let fetched = stream::iter(fetches.collect::<Vec<_>>())
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { fetched })
    }

    /// What was fetched for a copy's remote sources, in their order.
    pub(crate) fn fetched(&self, copy: &Copy) -> Vec<Arc<Fetched>> {
        copy.remotes
            .iter()
            .map(|remote| Arc::clone(&self.fetched[&Identity::of(remote)]))
            .collect()
    }

    /// The digest of a copy's remote sources.
    pub(crate) fn digest(&self, copy: &Copy) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for fetched in self.fetched(copy) {
            match &*fetched {
                Fetched::File(file) => {
                    let modified = file.last_modified.map_or(0, |time| time.seconds);
                    hasher.update(format!("file {:?} {} {modified}\n", file.name, file.digest));
                }
                Fetched::Git { commit, .. } => hasher.update(format!("git {commit}\n")),
            }
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
    let checksum = remote.checksum.as_deref().map(parse_checksum).transpose()?;
    let headers = authorization(&remote.url, |name| secret(request, name));
    let wanted = Download {
        url: remote.url.clone(),
        headers,
        checksum,
        limit: None,
    };
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
