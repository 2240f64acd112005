//! Keys while the build runs: what was planned as another stage's files is known by content once that stage is there.
//!
//! A stage that had to be done again may end with the same files as before. What copies them, and all that follows,
//! is then found under keys that say what the files are rather than how they were made.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt as _;
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
    /// The key that the layer was found under.
    pub(crate) found_under: Option<Key>,
    /// The step's keys by content.
    pub(crate) names: Names,
}

/// The keys that a step's result goes by besides the planned one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Names {
    /// What is below it is known by content; what it takes from elsewhere, as it was planned. Nothing has to be read for
    /// this one.
    pub(crate) below: Option<Key>,
    /// All is known by content.
    pub(crate) content: Option<Key>,
}

impl Names {
    /// All keys that a result goes by, each with what its record says of the key by content.
    pub(crate) fn records(self, planned: Key) -> Vec<(Key, Option<Key>)> {
        let mut keys = vec![planned];
        for key in [self.below, self.content].into_iter().flatten() {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let restated = |key| self.content.filter(|content| *content != key);
        keys.into_iter().map(|key| (key, restated(key))).collect()
    }
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

    /// Finds a step's layer and its keys by content.
    ///
    /// What a step takes from another stage is read for that only where nothing less tells whether there is a layer.
    pub(crate) async fn know(&mut self, at: At<'_>, step: &Step) -> Result<Known, BuildError> {
        let id = (at.stage.id, at.index);
        let Some(planned) = at.work.keys.step(at.stage.id, at.index) else {
            return Ok(Known::default());
        };
        let hit = at.work.hits.get(&id);
        if let Some(hit) = hit.filter(|_| at.work.schedule.is_cached(at.stage, at.index)) {
            return Ok(Known::found(hit.clone(), planned, Names::default()));
        }
        let below = self.key_on_content(at);
        let as_planned = below.filter(|_| takes_as_planned(at));
        if let Some((hit, key)) = self.find(at, step, [Some(planned), as_planned]).await? {
            let names = Names {
                below,
                ..Names::default()
            };
            return Ok(Known::found(hit, key, names));
        }
        let content = self.restated(at, step).await?;
        let names = Names { below, content };
        let other = content.filter(|key| *key != planned && Some(*key) != as_planned);
        Ok(match self.find(at, step, [other, None]).await? {
            Some((hit, key)) => Known::found(hit, key, names),
            None => Known {
                names,
                ..Known::default()
            },
        })
    }

    /// Looks under some keys, in this order, for a layer that fits now that more is known than when the build was
    /// planned.
    async fn find(
        &mut self,
        at: At<'_>,
        step: &Step,
        keys: [Option<Key>; 2],
    ) -> Result<Option<(Hit, Key)>, BuildError> {
        let Some(caches) = at.work.cache.as_ref() else {
            return Ok(None);
        };
        if !is_looked_up(&at.work.request, at.stage, at.index) {
            return Ok(None);
        }
        for key in keys.into_iter().flatten() {
            let Some(hit) = self.record(at, key).await else {
                continue;
            };
            let lineage = self.below.lineage().await?;
            if fits(&step.operation, hit.record.parent, Some(lineage)) && caches.holds(&hit).await {
                remember(at, &hit);
                return Ok(Some((hit, key)));
            }
        }
        Ok(None)
    }

    /// The record of a key, which for the planned one is known already.
    async fn record(&mut self, at: At<'_>, key: Key) -> Option<Hit> {
        if Some(key) == at.work.keys.step(at.stage.id, at.index) {
            return at.work.hits.get(&(at.stage.id, at.index)).cloned();
        }
        // Its type is boxed: it is deeper than compilers like.
        self.ask(at, key).boxed().await;
        self.asked.get(&key).cloned().flatten()
    }

    /// The step's key on top of what is below by content, where what it takes is as it was planned.
    fn key_on_content(&self, at: At<'_>) -> Option<Key> {
        let keys = &at.work.keys;
        keys.restated(at.stage.id, at.index, self.chain?, &|_| None)
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

impl Known {
    /// A layer with its record, which says what the key by content is where that is another one.
    fn found(hit: Hit, key: Key, names: Names) -> Self {
        let content = names.content.or(hit.record.restated).unwrap_or(key);
        Self {
            found_under: Some(key),
            names: Names {
                content: Some(content),
                ..names
            },
            hit: Some(hit),
        }
    }
}

/// Remembers that a layer came from the cache.
fn remember(at: At<'_>, hit: &Hit) {
    let late = &at.work.late;
    late.lock()
        .expect("nothing panics while it holds this lock")
        .insert(hit.record.layer.digest);
}

/// Whether all that a step takes from elsewhere is what was planned: images, and stages of which nothing is done again.
fn takes_as_planned(at: At<'_>) -> bool {
    let mut takings = at.work.keys.takings(at.stage.id, at.index);
    takings.all(|taking| match taking.stage {
        Some(stage) => at.work.is_all_cached(stage),
        None => true,
    })
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
        Some(Source::Stage(id)) => Arc::clone(&at.other(id).await?.files),
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
