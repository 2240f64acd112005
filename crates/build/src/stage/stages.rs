//! All stages of a build: each is built as soon as those it reads from are there.
//!
//! A stage waits for a message, not for another stage's own work: stages that stand on each other by the thousands
//! are polled side by side and never inside one another.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::Shared;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::oneshot;
use tracing::Instrument as _;
use yadokari_plan::StageId;

use super::{StageResult, build};
use crate::error::BuildError;
use crate::trace::work_span;
use crate::work::Work;

/// What became of a stage.
pub(crate) type Outcome = Result<Arc<StageResult>, BuildError>;

/// The stages that are built; anybody may wait for one.
#[derive(Debug, Clone)]
pub(crate) struct Stages(Arc<HashMap<StageId, Shared<oneshot::Receiver<Outcome>>>>);

/// How many stages are begun before the first of them is done.
///
/// A stage reads only from stages above it in the file, so the first of those begun never waits for one that is not.
const AT_ONCE: usize = 256;

impl Stages {
    /// Builds every stage that is needed, and gives the target.
    ///
    /// # Errors
    ///
    /// The first failure; whatever else was going on is dropped then.
    pub(crate) async fn build(work: &Arc<Work>) -> Outcome {
        let needed = work.plan.stages.iter().map(|stage| stage.id);
        let needed = needed.filter(|id| work.schedule.needs(*id));
        let (tellers, told): (Vec<_>, HashMap<_, _>) = needed
            .map(|id| {
                let (teller, told) = oneshot::channel();
                ((id, teller), (id, told.shared()))
            })
            .unzip();
        let stages = Self(Arc::new(told));
        let builds = tellers
            .into_iter()
            .map(|(id, teller)| stages.clone().one(Arc::clone(work), id, teller).boxed());
        stream::iter(builds)
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        stages.built(work.plan.target).await
    }

    async fn one(
        self,
        work: Arc<Work>,
        id: StageId,
        teller: oneshot::Sender<Outcome>,
    ) -> Result<(), BuildError> {
        let name = work.plan.stage(id).map_or("", |stage| &stage.name);
        let span = work_span!("stage", "{name}");
        let outcome = build(Arc::clone(&work), id, self).instrument(span).await;
        let done = outcome.as_ref().map(drop).map_err(Clone::clone);
        // Nobody may be waiting for it.
        teller.send(outcome).ok();
        done
    }

    /// Whether a stage is built and not done yet.
    pub(crate) fn is_awaited(&self, id: StageId) -> bool {
        let told = self.0.get(&id);
        told.is_some_and(|told| told.clone().now_or_never().is_none())
    }

    /// Waits for a stage.
    ///
    /// # Errors
    ///
    /// What made it fail.
    pub(crate) async fn built(&self, id: StageId) -> Outcome {
        match self.0[&id].clone().await {
            Ok(outcome) => outcome,
            // Its build was dropped, as all are when one fails: this one will be too.
            Err(_) => std::future::pending().await,
        }
    }
}
