//! Asking the caches of a build: for every key at once, in every place at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::join_all;
use yadokari_cache::{KnownDownload, LayerBytes, LayerCache, Location, Record, Scopes};
use yadokari_image::{Digest, Repository};
use yadokari_plan::{Base, Key, Keys, Operation, Plan, Source, Stage, StageId};
use yadokari_registry::Mount;
use yadokari_store::Blob;

use crate::caching::record::chain;
use crate::events::{Event, Events};
use crate::prepare::schedule::{StepKey, sources};
use crate::request::{BuildRequest, CacheLocation, CacheSource, NoCache};
use crate::services::Services;
use crate::stage::layers::Place;
use crate::transfers::Transfers;

/// What the caches have for the steps of a plan.
pub(crate) type Hits = HashMap<StepKey, Hit>;

/// A record, and where its layer is.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) record: Record,
    pub(crate) place: Place,
}

impl Hit {
    /// The repository that has the layer, if it is in one.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        match &self.place {
            Place::Registry(reference) => Some(reference.name()),
            Place::Spool(_) | Place::Directory(_) => None,
        }
    }
}

/// The caches of a build: all are read, the first is written.
#[derive(Clone)]
pub(crate) struct Caches {
    places: Vec<LayerCache>,
    /// Layers that turned out not to be what their records say, and files that their servers do not have any more.
    distrusted: HashSet<Digest>,
    trouble: Arc<Trouble>,
}

impl Caches {
    /// The caches of the request; without a place of its own the first lies beside the first destination.
    pub(crate) fn new(
        request: &BuildRequest,
        services: &Services,
        distrusted: &HashSet<Digest>,
    ) -> Option<Self> {
        let asked = &request.cache;
        if !asked.enabled {
            return None;
        }
        let main = match &asked.repository {
            Some(location) => location_of(location),
            None => Location::Repository(
                request
                    .outputs
                    .destinations
                    .first()?
                    .name()
                    .join("cache")
                    .ok()?,
            ),
        };
        let further = asked.sources.iter().filter_map(|source| match source {
            CacheSource::Records(location) => Some(location_of(location)),
            CacheSource::Image(_) => None,
        });
        let scopes = Scopes::new(asked.scopes.clone());
        let open = |location| {
            LayerCache::new(location, &services.registry, asked.ttl).scoped(scopes.clone())
        };
        Some(Self {
            places: std::iter::once(main).chain(further).map(open).collect(),
            distrusted: distrusted.clone(),
            trouble: Arc::new(Trouble {
                events: Arc::clone(&services.events),
                told: std::sync::Mutex::default(),
            }),
        })
    }

    /// The cache that is written.
    pub(crate) fn main(&self) -> &LayerCache {
        &self.places[0]
    }

    /// The repository of the cache that is written.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        self.main().repository()
    }

    /// Asks all places for a key. The first that has a record counts; one that cannot answer is told, and a miss.
    pub(crate) async fn lookup(&self, key: Key, now: SystemTime) -> Option<Hit> {
        let asked = self.places.iter().map(|place| place.lookup(key, now));
        let mut found = None;
        for (place, answer) in self.places.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Some(record)) if found.is_none() && self.trusts(record.layer.digest) => {
                    found = Some(hit(place, record));
                }
                Ok(_) => {}
                Err(error) => self.trouble.tell(place, &error),
            }
        }
        found
    }

    /// Keeps a layer in the cache that is written. A refusal is told, and does the build no harm.
    pub(crate) async fn keep(
        &self,
        transfers: &Transfers,
        key: Key,
        record: &Record,
        blob: &Blob,
    ) -> bool {
        let outgoing = self.repository().map(|to| transfers.push(to, blob));
        let mut bytes = LayerBytes::of(blob);
        if let Some(outgoing) = &outgoing {
            bytes.source = outgoing;
        }
        let turn = transfers.turn().await;
        let saved = self.main().save(key, record, bytes).await;
        drop(turn);
        if let Err(error) = &saved {
            self.trouble.refused(error);
        }
        saved.is_ok()
    }

    /// What earlier builds noted of the file at a URL: the first place that knows it counts. One that cannot say is asked
    /// for layers too, and told of there.
    pub(crate) async fn download(&self, url: &str) -> Option<KnownDownload> {
        let asked = self.places.iter().map(|place| place.download(url));
        let answers = join_all(asked).await.into_iter();
        let mut known = answers.filter_map(|answer| {
            answer.unwrap_or_else(|error| {
                tracing::debug!(%error, "reading what is known of a download");
                None
            })
        });
        known.next()
    }

    /// Whether a layer or a downloaded file with this digest may be taken on the word of a cache.
    pub(crate) fn trusts(&self, digest: Digest) -> bool {
        !self.distrusted.contains(&digest)
    }

    /// Whether the bytes of a hit are still where they should be.
    pub(crate) async fn holds(&self, hit: &Hit) -> bool {
        let Some(place) = self.places.iter().find(|place| is_of(place, hit)) else {
            // A layer of an image: the registry that just named it has it.
            return true;
        };
        match place.holds(&hit.record).await {
            Ok(holds) => {
                if !holds {
                    self.trouble.gone(hit);
                }
                holds
            }
            Err(error) => {
                self.trouble.tell(place, &error);
                false
            }
        }
    }

    /// Writes a record of a layer that is elsewhere, if none of its bytes have to move for that.
    pub(crate) async fn adopt(
        &self,
        key: Key,
        hit: &Hit,
    ) -> Result<bool, yadokari_cache::CacheError> {
        self.main().adopt(key, &hit.record, hit.repository()).await
    }

    /// Whether a hit lies in the cache that is written.
    pub(crate) fn is_main(&self, hit: &Hit) -> bool {
        is_of(self.main(), hit)
    }
}

fn location_of(location: &CacheLocation) -> Location {
    match location {
        CacheLocation::Repository(reference) => Location::Repository(reference.name().clone()),
        CacheLocation::Directory(path) => Location::Directory(path.clone()),
    }
}

fn hit(place: &LayerCache, record: Record) -> Hit {
    let layer = match (place.repository(), place.directory()) {
        (Some(repository), _) => Place::Registry(repository.with_digest(record.layer.digest)),
        (None, directory) => {
            Place::Directory(directory.map(std::path::Path::to_owned).unwrap_or_default())
        }
    };
    Hit {
        record,
        place: layer,
    }
}

fn is_of(place: &LayerCache, hit: &Hit) -> bool {
    match &hit.place {
        Place::Registry(reference) => place.repository() == Some(reference.name()),
        Place::Directory(path) => place.directory() == Some(path),
        Place::Spool(_) => false,
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caches")
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

/// Tells of caches that do not work, each once.
struct Trouble {
    events: Arc<dyn Events>,
    told: std::sync::Mutex<BTreeSet<String>>,
}

impl Trouble {
    fn tell(&self, place: &LayerCache, error: &yadokari_cache::CacheError) {
        let name = match (place.repository(), place.directory()) {
            (Some(repository), _) => repository.to_string(),
            (None, directory) => directory
                .unwrap_or(std::path::Path::new(""))
                .display()
                .to_string(),
        };
        let what = match error {
            yadokari_cache::CacheError::NoRecord { .. }
            | yadokari_cache::CacheError::Document { .. } => {
                "a record of the layer cache is not used"
            }
            _ => "the layer cache cannot be read",
        };
        self.once(name.clone(), &format!("{what} ({name}): {}", chain(error)));
    }

    fn refused(&self, error: &yadokari_cache::CacheError) {
        self.once(
            "refused".to_owned(),
            &format!("layers were not cached: {}", chain(error)),
        );
    }

    fn gone(&self, hit: &Hit) {
        let layer = hit.record.layer.digest;
        self.once(
            layer.to_string(),
            &format!(
                "the cached layer of `{}` is gone ({layer}): the step is done again",
                hit.record.instruction
            ),
        );
    }

    fn once(&self, about: String, text: &str) {
        let mut told = self
            .told
            .lock()
            .expect("nothing panics while it holds this lock");
        if told.insert(about) {
            self.events.on(Event::Notice(text));
        }
    }
}

/// Asks for all keys of a plan at once.
pub(crate) async fn lookup_all(
    request: &BuildRequest,
    services: &Services,
    plan: &Plan,
    keys: &Keys,
    caches: &Caches,
) -> Hits {
    let now = services.clock.now();
    let asked = looked_up(request, plan).into_iter();
    let asked = asked.filter_map(|id| Some((id, keys.step(id.0, id.1)?)));
    let answers =
        asked.map(|(step, key)| async move { Some((step, caches.lookup(key, now).await?)) });
    join_all(answers).await.into_iter().flatten().collect()
}

/// The steps that are looked for under their planned keys.
///
/// What is taken from a stage that the user wants to be made anew has to be seen first: by its content it may be found
/// later.
pub(crate) fn looked_up(request: &BuildRequest, plan: &Plan) -> Vec<StepKey> {
    let renewed = renewed(request, plan);
    let steps = plan.stages.iter().flat_map(|stage| {
        let steps = (0..stage.steps.len()).filter(|index| is_looked_up(request, stage, *index));
        steps.map(move |index| (stage, index))
    });
    steps
        .filter(|(stage, index)| !takes_from(&stage.steps[*index].operation, &renewed))
        .map(|(stage, index)| (stage.id, index))
        .collect()
}

/// Stages that are made anew: those that the user wants to be, and those that start or take something from one.
pub(crate) fn renewed(request: &BuildRequest, plan: &Plan) -> HashSet<StageId> {
    let mut renewed = HashSet::new();
    for stage in &plan.stages {
        let starts_from_one =
            matches!(&stage.base, Base::Stage(parent) if renewed.contains(parent));
        let mut steps = stage.steps.iter();
        if is_excluded(request, stage)
            || starts_from_one
            || steps.any(|step| takes_from(&step.operation, &renewed))
        {
            renewed.insert(stage.id);
        }
    }
    renewed
}

/// Whether a step takes something from one of these stages.
pub(crate) fn takes_from(operation: &Operation, stages: &HashSet<StageId>) -> bool {
    let mut taken = sources(operation).into_iter();
    taken.any(|source| matches!(source, Source::Stage(id) if stages.contains(id)))
}

/// Whether records of a step are looked for.
pub(crate) fn is_looked_up(request: &BuildRequest, stage: &Stage, step: usize) -> bool {
    !is_excluded(request, stage) && is_kind_cached(request, &stage.steps[step].operation)
}

/// Whether layers of this kind are cached.
pub(crate) fn is_kind_cached(request: &BuildRequest, operation: &Operation) -> bool {
    match operation {
        Operation::Metadata => false,
        Operation::Run(_) => request.cache.run_layers,
        Operation::Copy(_) => request.cache.copy_layers,
        Operation::Workdir(_) => true,
    }
}

/// Whether the user wants every step of a stage to be done again.
pub(crate) fn is_excluded(request: &BuildRequest, stage: &Stage) -> bool {
    match &request.cache.no_cache {
        NoCache::Never => false,
        NoCache::All => true,
        NoCache::Stages(names) => names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&stage.name)),
    }
}

/// Finds hits whose layers are gone, and takes the first step towards publishing the others.
///
/// A layer that will be published is mounted into the destination right away: whether that works says whether
/// it is there. Gives what was mounted, and the steps whose layers are gone.
pub(crate) async fn check(
    services: &Services,
    caches: &Caches,
    used: Vec<(StepKey, &Hit, Vec<Repository>)>,
) -> (Vec<(Repository, Digest)>, Vec<StepKey>) {
    let checks = used
        .into_iter()
        .map(|(step, hit, destinations)| async move {
            let layer = hit.record.layer.digest;
            let mounts = destinations
                .iter()
                .map(|destination| mounted(services, destination, hit));
            let placed: Vec<(Repository, Digest)> = destinations
                .iter()
                .zip(join_all(mounts).await)
                .filter(|(_, mounted)| *mounted)
                .map(|(destination, _)| (destination.clone(), layer))
                .collect();
            let is_there = !placed.is_empty() || caches.holds(hit).await;
            (placed, (!is_there).then_some(step))
        });
    let (mut placed, mut gone) = (Vec::new(), Vec::new());
    for (done, missing) in join_all(checks).await {
        placed.extend(done);
        gone.extend(missing);
    }
    (placed, gone)
}

/// Mounts a layer into a destination of the same registry; says whether that was possible.
async fn mounted(services: &Services, destination: &Repository, hit: &Hit) -> bool {
    let Some(from) = hit.repository() else {
        return false;
    };
    if from.registry() != destination.registry() || from == destination {
        return false;
    }
    let registry = &services.registry;
    match registry
        .mount_blob(destination, hit.record.layer.digest, from)
        .await
    {
        Ok(Mount::Mounted) => true,
        Ok(Mount::Declined(session)) => {
            registry.cancel_upload(session).await;
            false
        }
        Err(error) => {
            tracing::debug!(%error, "mounting a cached layer");
            false
        }
    }
}
