//! Finding out what a remote source is, with as few bytes as that takes.

use std::collections::HashMap;
use std::sync::Arc;

use yadokari_cache::KnownDownload;
use yadokari_context::{Asked, Download, Validators, download, download_if_changed};
use yadokari_dockerfile::Span;
use yadokari_image::Digest;
use yadokari_plan::{Operation, Plan, Remote};

use super::fetch::{fetch, wish};
use super::promise::{Promise, Promiser};
use super::{Fetched, Found, Ground, Identity, is_noted};
use crate::caching::lookup::{Caches, is_excluded};
use crate::error::BuildError;
use crate::request::BuildRequest;

/// A remote source, and who wants it.
pub(super) struct Wanted<'p> {
    remote: &'p Remote,
    /// The lines that name it first.
    pub(super) span: Span,
    /// A stage wants it that has to be done again whatever is known.
    is_renewed: bool,
}

/// Every remote source of a plan.
pub(super) fn wanted<'p>(plan: &'p Plan, request: &BuildRequest) -> HashMap<Identity, Wanted<'p>> {
    let mut wanted = HashMap::new();
    for stage in &plan.stages {
        let is_renewed = is_excluded(request, stage);
        for step in &stage.steps {
            let Operation::Copy(copy) = &step.operation else {
                continue;
            };
            for remote in &copy.remotes {
                let place = wanted.entry(Identity::of(remote)).or_insert(Wanted {
                    remote,
                    span: step.span,
                    is_renewed,
                });
                place.is_renewed |= is_renewed;
            }
        }
    }
    wanted
}

impl Wanted<'_> {
    /// Finds out what the source is.
    pub(super) async fn look(&self, ground: Ground<'_>) -> Result<Found, BuildError> {
        let (request, services) = (ground.request, ground.services);
        let Some(caches) = ground.caches.filter(|_| !self.remote.git) else {
            let fetched = fetch(self.remote, request, services, ground.scratch).await?;
            return Ok(here(fetched, false));
        };
        let wish = wish(self.remote, request)?;
        match wish.checksum {
            Some(checksum) => Ok(promised(wish, checksum, Promiser::Checksum)),
            None => self.look_at_file(wish, caches, ground).await,
        }
    }

    async fn look_at_file(
        &self,
        wish: Download,
        caches: &Caches,
        ground: Ground<'_>,
    ) -> Result<Found, BuildError> {
        let (client, scratch) = (&ground.services.http, ground.scratch);
        let noted = match self.is_renewed || !is_noted(&self.remote.url) {
            true => None,
            false => caches.download(&self.remote.url).await,
        };
        let noted = noted.filter(|known| seen(known).can_be_asked_about());
        let is_noted = noted.is_some();
        let Some(known) = noted.filter(|known| caches.trusts(known.digest)) else {
            let file = download(client, &wish, scratch).await?;
            return Ok(here(Fetched::File(file), is_noted));
        };
        match download_if_changed(client, &wish, &seen(&known), scratch).await? {
            Asked::Other(file) => Ok(here(Fetched::File(file), true)),
            Asked::Same(changed) => Ok(promised(wish, known.digest, Promiser::Server(changed))),
        }
    }
}

/// By what the server knows the version that was noted.
fn seen(known: &KnownDownload) -> Validators {
    Validators {
        etag: known.etag.clone(),
        last_modified: known.last_modified.clone(),
    }
}

fn here(fetched: Fetched, is_outdated: bool) -> Found {
    Found::Here {
        fetched: Arc::new(fetched),
        is_outdated,
    }
}

fn promised(wish: Download, digest: Digest, by: Promiser) -> Found {
    Found::Promised(Box::new(Promise::new(wish, digest, by)))
}
