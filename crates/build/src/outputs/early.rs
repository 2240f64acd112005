//! Layers that are on their way to the destinations while the image is still being made.
//!
//! A layer that a step makes goes at once. One that was there before, in a base or in the cache, waits until some step has
//! to be done: a build that finds everything in the cache mostly pushes what its destinations have already, and one question about
//! the manifest tells.

use std::sync::{Arc, Mutex};

use crate::outputs::publish::{push_layer, repositories};
use crate::stage::layers::FinishedLayer;
use crate::work::Work;

/// Layers that wait for the first step that is done, and none any more after that.
#[derive(Debug)]
pub(crate) struct Waiting(Mutex<Option<Vec<Arc<FinishedLayer>>>>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Waiting {
    /// Keeps a layer back; gives it back where nothing waits any more.
    fn keep(&self, layer: Arc<FinishedLayer>) -> Option<Arc<FinishedLayer>> {
        match &mut *self.lock() {
            Some(layers) => {
                layers.push(layer);
                None
            }
            None => Some(layer),
        }
    }

    /// Ends the wait, and gives what was kept back.
    fn end(&self) -> Vec<Arc<FinishedLayer>> {
        self.lock().take().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Arc<FinishedLayer>>>> {
        self.0
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

/// Pushes a layer that was there before, now or as soon as a step is done.
pub(crate) async fn push_known(work: &Work, layer: Arc<FinishedLayer>) {
    if let Some(layer) = work.waiting.keep(layer) {
        push(work, &layer).await;
    }
}

/// Tells that a step is being done, so that nothing has to wait any more.
pub(crate) fn begin(work: &Arc<Work>) {
    for layer in work.waiting.end() {
        let pusher = Arc::clone(work);
        work.in_background(async move { push(&pusher, &layer).await });
    }
}

/// Pushes a layer before the image is finished, so that little is left to do at the end.
///
/// What fails here is tried again, and reported, when the image is published.
pub(crate) async fn push(work: &Work, layer: &Arc<FinishedLayer>) {
    for repository in repositories(&work.request) {
        let permit = work.transfers.turn().await;
        if let Err(error) = push_layer(work, &repository, layer).await {
            tracing::debug!(%error, "pushing a layer before the image is finished");
        }
        drop(permit);
    }
}
