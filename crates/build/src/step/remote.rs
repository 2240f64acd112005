//! Remote sources of ADD, fetched before keys are computed, because their content is part of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use yadokari_context::{
    BuildContext, CheckoutOptions, Download, GitReference, RemoteFile, authorization, download,
    keep_all, parse_checksum,
};
use yadokari_plan::{Copy, Operation, Plan, Remote};
use yadokari_rootfs::Root;
use yadokari_tree::Tree;

use crate::error::{BuildError, BuildErrorKind};
use crate::inputs::checkout_options;
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
        _context: BuildContext,
    },
}

/// All remote sources of a plan.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    fetched: HashMap<Identity, Arc<Fetched>>,
}

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
    /// Fetches every remote source of the plan once.
    pub(crate) async fn fetch(
        plan: &Plan,
        request: &BuildRequest,
        services: &Services,
        scratch: &Path,
    ) -> Result<Self, BuildError> {
        let mut remotes = Self::default();
        for stage in &plan.stages {
            for step in &stage.steps {
                let Operation::Copy(copy) = &step.operation else {
                    continue;
                };
                for remote in &copy.remotes {
                    let identity = Identity::of(remote);
                    if let Entry::Vacant(place) = remotes.fetched.entry(identity) {
                        let fetched = fetch(remote, request, services, scratch)
                            .await
                            .map_err(|error| error.at(step.span))?;
                        place.insert(Arc::new(fetched));
                    }
                }
            }
        }
        Ok(remotes)
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

async fn fetch(
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
    let options = CheckoutOptions {
        keep_git_dir: remote.keep_git_dir,
        ..checkout_options(&request.contexts.git)
    };
    let checkout = services.git.checkout(&reference, &options, scratch);
    let checkout = checkout.await?;
    let commit = checkout.commit().to_owned();
    let context = BuildContext::git(checkout)?;
    let files = context.files(&keep_all, services.threads)?;
    Ok(Fetched::Git {
        root: Arc::clone(files.root()),
        tree: files.tree().clone(),
        commit,
        _context: context,
    })
}
