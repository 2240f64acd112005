//! What happens to a new layer while the build goes on: it is cached, and sent on its way.

use std::sync::Arc;

use yadokari_cache::Record;
use yadokari_image::Platform;
use yadokari_plan::{Key, Operation, Step};

use crate::caching::lookup::{Caches, Hit, is_kind_cached};
use crate::caching::rekey::{Known, Names};
use crate::caching::standing::Below;
use crate::error::BuildError;
use crate::outputs::early;
use crate::stage::layers::{FinishedLayer, Layer, Place};
use crate::step::At;
use crate::transfers::Transfers;

/// What is known of a step when its layer is kept.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What is below the layer.
    pub(crate) below: Below,
    /// The step's keys by content, where they are known.
    pub(crate) names: Names,
}

/// Keeps a step's layer under its keys and pushes it, as soon as it is finished.
///
/// The cache comes first: the destination can then mount what the cache has. A cache that refuses is
/// told about and does not fail the build.
pub(crate) fn keep(at: At<'_>, step: &Step, layer: &Layer, identity: Identity) {
    let keeper = Keeper::new(at, step, identity);
    let is_published = at.work.is_published(at.stage.id);
    if keeper.is_none() && !is_published {
        return;
    }
    let (work, layer) = (Arc::clone(at.work), layer.clone());
    at.work.in_background(async move {
        // A layer that cannot be made is reported by the stage that waits for it.
        let Ok(finished) = layer.finished().await else {
            return;
        };
        if let Some(keeper) = keeper {
            keeper.keep(&work.transfers, &finished).await;
        }
        if is_published {
            early::push(&work, &finished).await;
        }
    });
}

/// Sends a layer that came from the cache on its way, and writes records of it where the next build looks first.
///
/// Nothing of the layer moves for a record: one that would need that is not written.
pub(crate) fn keep_found(at: At<'_>, step: &Step, layer: &Layer, known: &Known) {
    let Some(mut hit) = known.hit.clone() else {
        return;
    };
    let is_published = at.work.is_published(at.stage.id);
    let adopted = adoption(at, step, known, &hit);
    let (work, layer) = (Arc::clone(at.work), layer.clone());
    at.work.in_background(async move {
        if let Some((caches, keys)) = adopted {
            for (key, restated) in keys {
                hit.record.restated = restated;
                if let Err(error) = caches.adopt(key, &hit).await {
                    work.notice(&format!("layers were not cached: {}", chain(&error)));
                }
            }
        }
        if is_published && let Ok(finished) = layer.finished().await {
            early::push_known(&work, finished).await;
        }
    });
}

/// The keys that a layer should also be found under, each with what its record says of the key by content.
type Adoption = (Caches, Vec<(Key, Option<Key>)>);

fn adoption(at: At<'_>, step: &Step, known: &Known, hit: &Hit) -> Option<Adoption> {
    let caches = at.work.cache.clone()?;
    let planned = at.work.keys.step(at.stage.id, at.index)?;
    let wanted = at.work.request.cache.push && is_kind_cached(&at.work.request, &step.operation);
    let is_there = |key: Key| caches.is_main(hit) && known.found_under == Some(key);
    let mut keys = known.names.records(planned);
    if known.found_under == Some(planned) && caches.is_main(hit) {
        // The build that left it there wrote the others too.
        return None;
    }
    keys.retain(|(key, _)| !is_there(*key));
    wanted.then_some((caches, keys))
}

/// A record in the making.
struct Keeper {
    caches: Caches,
    key: Key,
    operation: Operation,
    identity: Identity,
    instruction: String,
    platform: Platform,
}

impl Keeper {
    fn new(at: At<'_>, step: &Step, identity: Identity) -> Option<Self> {
        let key = at.work.keys.step(at.stage.id, at.index)?;
        let wanted =
            at.work.request.cache.push && is_kind_cached(&at.work.request, &step.operation);
        wanted.then_some(Self {
            caches: at.work.cache.clone()?,
            key,
            operation: step.operation.clone(),
            identity,
            instruction: step.title.clone(),
            platform: at.stage.platform.clone(),
        })
    }

    async fn keep(mut self, transfers: &Transfers, finished: &FinishedLayer) {
        let Place::Spool(blob) = &finished.place else {
            return;
        };
        // A layer below that cannot be made ends the build; nobody needs this record then.
        let Ok(mut record) = self.record(finished).await else {
            return;
        };
        for (key, restated) in self.identity.names.records(self.key) {
            record.restated = restated;
            if !self.caches.keep(transfers, key, &record, blob).await {
                return;
            }
        }
    }

    /// The record but for its key.
    async fn record(&mut self, finished: &FinishedLayer) -> Result<Record, BuildError> {
        let lineage = self.identity.below.lineage().await?;
        let listed = &finished.listed;
        Ok(Record {
            layer: listed.descriptor.clone(),
            diff_id: listed.diff_id,
            created: listed.created.clone().unwrap_or_default(),
            instruction: self.instruction.clone(),
            platform: self.platform.clone(),
            parent: lineage.of_record(&self.operation),
            restated: None,
        })
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}
