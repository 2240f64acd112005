//! What happens to a new layer while the build goes on: it is cached, and sent on its way.

use std::sync::Arc;

use yadokari_cache::{LayerCache, Record};
use yadokari_image::Platform;
use yadokari_plan::{Key, Operation, Step};

use crate::layers::{FinishedLayer, Layer, Place};
use crate::publish::push_early;
use crate::step::At;
use crate::work::Work;

/// Keeps a step's layer under its key and pushes it, as soon as it is finished.
///
/// The cache comes first: the destination can then mount what the cache has. A cache that refuses is
/// told about and does not fail the build.
pub(crate) fn keep(at: At<'_>, step: &Step, layer: &Layer) {
    let keeper = Keeper::new(at, step);
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
            keeper.keep(&work, &finished).await;
        }
        if is_published {
            push_early(&work, &finished).await;
        }
    });
}

/// A record in the making.
struct Keeper {
    cache: LayerCache,
    key: Key,
    instruction: String,
    platform: Platform,
}

impl Keeper {
    fn new(at: At<'_>, step: &Step) -> Option<Self> {
        let key = at.work.keys.step(at.stage.id, at.index)?;
        let wanted = at.work.request.cache.push && is_kept(at.work, &step.operation);
        wanted.then_some(Self {
            cache: at.work.cache.clone()?,
            key,
            instruction: step.title.clone(),
            platform: at.stage.platform.clone(),
        })
    }

    async fn keep(self, work: &Work, finished: &FinishedLayer) {
        let Place::Spool(blob) = &finished.place else {
            return;
        };
        let listed = &finished.listed;
        let record = Record {
            layer: listed.descriptor.clone(),
            diff_id: listed.diff_id,
            created: listed.created.clone().unwrap_or_default(),
            instruction: self.instruction,
            platform: self.platform,
        };
        if let Err(error) = self.cache.save(self.key, &record, blob, None).await {
            work.notice(&format!("layers were not cached: {}", chain(&error)));
        }
    }
}

/// Whether layers of this kind are cached.
pub(crate) fn is_kept(work: &Work, operation: &Operation) -> bool {
    match operation {
        Operation::Metadata => false,
        Operation::Run(_) => work.request.cache.run_layers,
        Operation::Copy(_) => work.request.cache.copy_layers,
        Operation::Workdir(_) => true,
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
