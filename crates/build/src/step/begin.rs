//! When a step begins: as soon as the stages that it reads from are done.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures::future::{Either, select, try_join_all};
use tokio::sync::OwnedRwLockWriteGuard;
use yadokari_plan::{Operation, Source, StageId};

use super::At;
use crate::events::Event;
use crate::prepare::schedule::sources;
use crate::stage::stages::Stages;
use crate::work::{Work, step_id};

/// Whether a step began, and when.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    at: OnceLock<SystemTime>,
    /// It turned out before it began that it is not in the cache.
    missed: AtomicBool,
    /// How long its command was queued.
    queued: OnceLock<Duration>,
}

impl At<'_> {
    /// Does the work of a step, and tells that it begins once all stages that it reads from are done.
    ///
    /// The work is polled from the start: what it can do before they are done it does meanwhile.
    pub(crate) async fn beginning<T>(
        &self,
        operation: &Operation,
        work: impl Future<Output = T>,
    ) -> T {
        let awaited = self.awaited(operation);
        if awaited.is_empty() {
            self.begin();
            return work.await;
        }
        tell_waiting(self.work, self.stage.id, self.index, &awaited);
        let ready = try_join_all(awaited.iter().map(|id| self.others.built(*id)));
        match select(pin!(ready), pin!(work)).await {
            Either::Left((ready, work)) => {
                if ready.is_ok() {
                    self.begin();
                }
                work.await
            }
            Either::Right((done, _)) => done,
        }
    }

    /// Tells that the step begins, unless that was told.
    pub(crate) fn begin(&self) {
        let now = self.work.services.clock.now();
        if self.begun.at.set(now).is_ok() {
            self.work
                .tell(Event::Started(step_id(self.stage.id, self.index)));
            if self.begun.missed.load(Ordering::Relaxed) {
                self.tell_missed();
            }
        }
    }

    /// The step is not in the cache: tells why, where that is known.
    pub(crate) fn missed(&self) {
        self.begun.missed.store(true, Ordering::Relaxed);
        if self.begun.at.get().is_some() {
            self.tell_missed();
        }
    }

    /// Waits until the step's command is alone, and tells of it unless it is at once.
    pub(crate) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        let ground = &self.work.ground;
        if let Ok(alone) = Arc::clone(ground).try_write_owned() {
            return alone;
        }
        let step = step_id(self.stage.id, self.index);
        let clock = &self.work.services.clock;
        self.work.tell(Event::Queued(step));
        let since = clock.now();
        let alone = Arc::clone(ground).write_owned().await;
        let waited = clock.now().duration_since(since).unwrap_or_default();
        let waited = *self.begun.queued.get_or_init(|| waited);
        self.work.tell(Event::Running { step, waited });
        alone
    }

    /// Wall time since it began, without the time in the queue.
    pub(crate) fn took(&self) -> Duration {
        let now = self.work.services.clock.now();
        let since = self.begun.at.get().map(|began| now.duration_since(*began));
        let since = since.and_then(Result::ok).unwrap_or_default();
        let queued = self.begun.queued.get().copied().unwrap_or_default();
        since.saturating_sub(queued)
    }

    fn tell_missed(&self) {
        if let Some(reasons) = self.work.reasons.get(&(self.stage.id, self.index)) {
            let step = step_id(self.stage.id, self.index);
            self.work.tell(Event::Missed { step, reasons });
        }
    }

    /// The stages that the step reads from and that are not done yet.
    fn awaited(&self, operation: &Operation) -> Vec<StageId> {
        if self.work.schedule.is_cached(self.stage, self.index) {
            return Vec::new();
        }
        let mut awaited: Vec<_> = sources(operation)
            .into_iter()
            .filter_map(|source| match source {
                Source::Stage(id) => Some(*id),
                _ => None,
            })
            .filter(|id| self.others.is_awaited(*id))
            .collect();
        awaited.sort_unstable();
        awaited.dedup();
        awaited
    }
}

/// Tells that a stage waits for the one below it, if that is not done.
pub(crate) fn tell_waiting_for_base(work: &Work, stage: StageId, base: StageId, others: &Stages) {
    if others.is_awaited(base) {
        tell_waiting(work, stage, 0, &[base]);
    }
}

fn tell_waiting(work: &Work, stage: StageId, index: usize, awaited: &[StageId]) {
    let names = awaited.iter().filter_map(|id| work.plan.stage(*id));
    let stages: Vec<_> = names.map(|stage| stage.name.as_str()).collect();
    work.tell(Event::Waiting {
        step: step_id(stage, index),
        stages: &stages,
    });
}
