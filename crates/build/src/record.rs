//! Writing cache records in the background.

use std::sync::Arc;

use yadokari_cache::Record;
use yadokari_plan::{Operation, Step};

use crate::events::Event;
use crate::layers::{Layer, Place};
use crate::step::At;
use crate::work::Work;

/// Keeps a step's layer under its key as soon as the layer is finished.
///
/// A cache that refuses is told about once and does not fail the build.
pub(crate) fn keep(at: At<'_>, step: &Step, layer: &Layer) {
    let work = at.work;
    let (Some(cache), Some(key)) = (work.cache.clone(), work.keys.step(at.stage.id, at.index)) else { return };
    if !work.request.cache.push || !is_kept(work, &step.operation) {
        return;
    }
    let (layer, instruction, platform) = (layer.clone(), step.title.clone(), at.stage.platform.clone());
    let events = Arc::clone(&work.services.events);
    work.in_background(async move {
        let Ok(finished) = layer.finished().await else { return };
        let Place::Spool(blob) = &finished.place else { return };
        let listed = &finished.listed;
        let record = Record {
            layer: listed.descriptor.clone(),
            diff_id: listed.diff_id,
            created: listed.created.clone().unwrap_or_default(),
            instruction,
            platform,
        };
        if let Err(error) = cache.save(key, &record, blob, None).await {
            events.on(Event::Notice(&format!("the layer of `{}` was not cached: {}", record.instruction, chain(&error))));
        }
    });
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
