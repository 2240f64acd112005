//! Keys while the build runs: what was planned as another stage's files is known by content once that stage is there.
//!
//! A stage that had to be done again may end with the same files as before. What copies them, and all that follows,
//! is then found under keys that say what the files are rather than how they were made.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use yadokari_context::hash_below;
use yadokari_plan::{ContentKey, Key, Operation, Source, Step, Taking, chained};
use yadokari_tree::TreePath;

use crate::blocking::blocking;
use crate::caching::lookup::{Hit, is_looked_up};
use crate::caching::standing::{Below, fits};
use crate::error::{BuildError, BuildErrorKind};
use crate::prepare::read_keys::{mounted_content, selected_content};
use crate::step::At;

/// Where a stage stands in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// What is below the next step.
    pub(crate) below: Below,
    /// The key of all that is below the next step, by content where that is known; `None` without a cache.
    pub(crate) chain: Option<Key>,
    /// Keys that were asked for already.
    asked: HashMap<Key, Option<Hit>>,
}

/// What is known of a step before it is done.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Its layer.
    pub(crate) hit: Option<Hit>,
    /// The layer was found under the planned key.
    pub(crate) as_planned: bool,
    /// Its key by content.
    pub(crate) restated: Option<Key>,
}

impl Standing {
    /// Stands at the start of a stage that has this key there.
    pub(crate) fn start(chain: Option<Key>) -> Self {
        Self {
            below: Below::start(),
            chain,
            asked: HashMap::new(),
        }
    }

    /// The same place, for a stage that starts here.
    pub(crate) fn for_child(&self) -> Self {
        Self {
            asked: HashMap::new(),
            ..self.clone()
        }
    }

    /// Goes past a step whose key by content is this one.
    pub(crate) fn pass(&mut self, step: &Step, restated: Option<Key>) {
        let chain = self.chain.zip(restated);
        self.chain = chain.map(|(below, key)| chained(step, below, key));
    }

    /// Finds a step's layer and its key by content.
    pub(crate) async fn know(&mut self, at: At<'_>, step: &Step) -> Result<Known, BuildError> {
        let id = (at.stage.id, at.index);
        let Some(planned) = at.work.keys.step(at.stage.id, at.index) else {
            return Ok(Known::default());
        };
        let hit = at.work.hits.get(&id);
        if let Some(hit) = hit.filter(|_| at.work.schedule.is_cached(at.stage, at.index)) {
            return Ok(Known {
                restated: Some(hit.record.restated.unwrap_or(planned)),
                hit: Some(hit.clone()),
                as_planned: true,
            });
        }
        let restated = self.restated(at, step).await?;
        let found = if is_looked_up(&at.work.request, at.stage, at.index) {
            self.find(at, step, planned, restated).await?
        } else {
            None
        };
        let (hit, as_planned) = found.unzip();
        if let Some(hit) = &hit {
            at.work
                .late
                .lock()
                .expect("nothing panics while it holds this lock")
                .insert(hit.record.layer.digest);
        }
        Ok(Known {
            hit,
            as_planned: as_planned.unwrap_or_default(),
            restated,
        })
    }

    /// Looks for a layer that fits now that more is known than when the build was planned; says with it whether it
    /// goes by the planned key.
    async fn find(
        &mut self,
        at: At<'_>,
        step: &Step,
        planned: Key,
        restated: Option<Key>,
    ) -> Result<Option<(Hit, bool)>, BuildError> {
        let mut candidates: Vec<(Hit, bool)> = Vec::new();
        let planned_hit = at.work.hits.get(&(at.stage.id, at.index)).cloned();
        candidates.extend(planned_hit.map(|hit| (hit, true)));
        if let Some(key) = restated.filter(|key| *key != planned) {
            self.ask(at, key).await;
            let restated_hit = self.asked.get(&key).cloned().flatten();
            candidates.extend(restated_hit.map(|hit| (hit, false)));
        }
        let Some(caches) = at.work.cache.as_ref().filter(|_| !candidates.is_empty()) else {
            return Ok(None);
        };
        let lineage = self.below.lineage().await?;
        for (hit, as_planned) in candidates {
            if fits(&step.operation, hit.record.parent, Some(lineage)) && caches.holds(&hit).await {
                return Ok(Some((hit, as_planned)));
            }
        }
        Ok(None)
    }

    /// Asks for a key, and at the same time for those of the steps that follow, as far as they are known.
    async fn ask(&mut self, at: At<'_>, key: Key) {
        let Some(caches) = at
            .work
            .cache
            .as_ref()
            .filter(|_| !self.asked.contains_key(&key))
        else {
            return;
        };
        let mut wanted = vec![key];
        let mut below = self
            .chain
            .map(|below| chained(&at.stage.steps[at.index], below, key));
        for (index, step) in at.stage.steps.iter().enumerate().skip(at.index + 1) {
            let keys = &at.work.keys;
            let is_open = keys.takings(at.stage.id, index).next().is_some();
            let Some(chain) = below.filter(|_| !is_open) else {
                break;
            };
            if let Some(next) = keys.restated(at.stage.id, index, chain, &|_| None) {
                wanted.push(next);
                below = Some(chained(step, chain, next));
            }
        }
        let now = at.work.services.clock.now();
        let answers = wanted
            .into_iter()
            .map(|key| async move { (key, caches.lookup(key, now).await) });
        self.asked.extend(join_all(answers).await);
    }

    async fn restated(&self, at: At<'_>, step: &Step) -> Result<Option<Key>, BuildError> {
        let Some(chain) = self.chain else {
            return Ok(None);
        };
        let keys = &at.work.keys;
        let mut contents = HashMap::new();
        for taking in keys.takings(at.stage.id, at.index) {
            if let Some(content) = content(at, &step.operation, taking).await? {
                contents.insert(taking.index, content);
            }
        }
        let known = |taking: &Taking| contents.get(&taking.index).copied();
        Ok(keys.restated(at.stage.id, at.index, chain, &known))
    }
}

/// Digests what a step takes from a stage or an image; `None` if it is not there, which the step itself will say.
async fn content(
    at: At<'_>,
    operation: &Operation,
    taking: &Taking,
) -> Result<Option<ContentKey>, BuildError> {
    let source = match operation {
        Operation::Copy(copy) => Some(&copy.from),
        Operation::Run(run) => run
            .mounts
            .get(taking.index)
            .and_then(|mount| mount.from.as_ref()),
        Operation::Metadata | Operation::Workdir(_) => None,
    };
    let files = match source {
        Some(Source::Stage(id)) => Arc::clone(&at.others[id].clone().await?.files),
        Some(Source::Image(key)) => at.work.image_files(key),
        _ => return Ok(None),
    };
    let mut files = files.lock().await;
    let (mut tree, mut root) = files.listed(at.work).await?;
    loop {
        let (operation, index) = (operation.clone(), taking.index);
        let (listed, directory) = (tree.clone(), root.clone());
        let threads = at.work.services.threads;
        let digested = blocking(move || {
            let hash = |paths: &[TreePath]| match &directory {
                Some(root) => Ok(hash_below(root, &listed, paths, threads)?),
                None => Ok(()),
            };
            match &operation {
                Operation::Copy(copy) => selected_content(&listed, copy, &hash),
                Operation::Run(run) => mounted_content(&listed, &run.mounts[index], &hash),
                Operation::Metadata | Operation::Workdir(_) => Ok(None),
            }
        });
        match digested.await {
            // Files that a step of this build wrote are not digested yet: they have to be read.
            Err(error) if root.is_none() && is_unhashed(&error) => {
                let (directory, all) = files.root(at.work).await?;
                (tree, root) = (all, Some(directory));
            }
            digested => return digested,
        }
    }
}

fn is_unhashed(error: &BuildError) -> bool {
    matches!(
        error.kind(),
        BuildErrorKind::Context(yadokari_context::ContextError::Unhashed(_))
    )
}
