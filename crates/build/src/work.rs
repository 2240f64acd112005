//! What all steps of one image's build share.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};
use tokio::task::JoinHandle;
use tracing::Instrument as _;
use yadokari_image::{Descriptor, DiffId, Digest, Reference, Repository};
use yadokari_layer::{Limits, PackOptions, TarOptions};
use yadokari_plan::{Base, ImageKey, Keys, Plan, StageId};
use yadokari_rootfs::ScanOptions;
use yadokari_store::{Arrival, Blob, Layout, ReceiveError, Spool};
use yadokari_tree::TreePath;

use crate::bases::Bases;
use crate::cache_mounts::CacheMounts;
use crate::caching::lookup::{Caches, Hits};
use crate::error::{BuildError, BuildErrorKind};
use crate::events::{Event, StepId};
use crate::movable::Movable;
use crate::outputs::assemble::ImageLayer;
use crate::outputs::early::Waiting;
use crate::prepare::images::SourceImage;
use crate::prepare::inputs::LocalFiles;
use crate::prepare::schedule::{Schedule, StepKey};
use crate::request::BuildRequest;
use crate::services::Services;
use crate::ssh::Agents;
use crate::stage::files::StageFiles;
use crate::stage::layers::{FinishedLayer, Layer, Place};
use crate::stage::trees::Trees;
use crate::state::{Roots, Scratch};
use crate::step::remote::Remotes;
use crate::transfers::Transfers;
use crate::turns::Turns;

/// Everything a step may need besides its own stage.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) request: Arc<BuildRequest>,
    pub(crate) services: Services,
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
    pub(crate) keys: Keys,
    pub(crate) hits: Hits,
    pub(crate) cache: Option<Caches>,
    /// Why steps are not in the cache.
    pub(crate) reasons: HashMap<StepKey, Vec<String>>,
    /// Layers that destinations are known to have.
    pub(crate) placed: std::sync::Mutex<HashSet<(Repository, Digest)>>,
    /// Layers that came from the cache, by step found while the build ran.
    pub(crate) late: std::sync::Mutex<HashSet<Digest>>,
    pub(crate) context: Arc<LocalFiles>,
    pub(crate) named: BTreeMap<String, Arc<LocalFiles>>,
    /// ssh agents that commands may be given.
    pub(crate) agents: Agents,
    pub(crate) images: BTreeMap<ImageKey, SourceImage>,
    /// Files of images that are copied or mounted from.
    pub(crate) image_files: HashMap<ImageKey, Arc<Mutex<StageFiles>>>,
    pub(crate) remotes: Remotes,
    pub(crate) spool: Spool,
    /// Trees of base images that some stage has read or unpacked.
    pub(crate) trees: Trees,
    /// Unpacked base images, shared with other builds.
    pub(crate) bases: Bases,
    pub(crate) roots: Arc<Roots>,
    /// The directory that holds the roots, which lives as long as they do.
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) ground: Arc<RwLock<()>>,
    pub(crate) movable: Movable,
    pub(crate) transfers: Arc<Transfers>,
    /// The cache mounts of the whole build.
    pub(crate) cache_mounts: Arc<CacheMounts>,
    /// Work nobody waits for until the image is there: cache records.
    pub(crate) background: std::sync::Mutex<Vec<JoinHandle<()>>>,
    /// Who may compress and unpack.
    pub(crate) turns: Turns,
    /// Layers that are not pushed before a step has to be done.
    pub(crate) waiting: Waiting,
    /// The span of the whole build.
    pub(crate) span: tracing::Span,
    /// Notices that were given.
    pub(crate) told: std::sync::Mutex<HashSet<String>>,
}

impl Work {
    /// What archives may ask for.
    pub(crate) fn limits(&self) -> Limits {
        self.request.limits
    }

    /// How roots are scanned: what the user excluded stays out.
    pub(crate) fn scan_options(&self) -> ScanOptions {
        let ignored = self.request.snapshot.ignore_paths.iter();
        ScanOptions {
            threads: self.services.threads,
            exclude: ignored
                .map(|path| TreePath::parse(path.as_os_str().as_encoded_bytes()))
                .collect(),
            ..ScanOptions::default()
        }
    }

    /// How files that nobody but the build touches are scanned: all of them.
    pub(crate) fn whole_scan_options(&self) -> ScanOptions {
        ScanOptions {
            threads: self.services.threads,
            ..ScanOptions::default()
        }
    }

    /// How layers are encoded.
    pub(crate) fn pack_options(&self) -> PackOptions {
        PackOptions {
            tar: TarOptions {
                latest_mtime: self.clamp(),
            },
            compression: self.request.format.compression,
            threads: self.services.threads,
        }
    }

    /// Times in new layers are cut to this, in seconds since 1970.
    pub(crate) fn clamp(&self) -> Option<i64> {
        clamp(&self.request, &self.plan)
    }

    /// Where a stage's root is made.
    pub(crate) fn stage_directory(&self, id: StageId) -> PathBuf {
        self.roots.path().join(format!("stage-{id}"))
    }

    /// A layer's bytes on this machine, downloaded if they are elsewhere.
    pub(crate) async fn blob(&self, layer: &Layer) -> Result<Blob, BuildError> {
        self.bring(layer, &Arrival::default()).await
    }

    /// As [`Work::blob`], for bytes that are read while they come.
    pub(crate) async fn bring(&self, layer: &Layer, arrival: &Arrival) -> Result<Blob, BuildError> {
        let finished = layer.finished().await?;
        match self.fetched(&finished, arrival).await {
            Ok(blob) => {
                arrival.complete(&blob);
                Ok(blob)
            }
            Err(error) => Err(self.at_fault(&finished.listed, error)),
        }
    }

    /// An error that has to do with a layer: one that came from the cache can be done without.
    pub(crate) fn at_fault(&self, layer: &ImageLayer, error: BuildError) -> BuildError {
        let digest = layer.descriptor.digest;
        if !self.is_from_cache(digest) || matches!(error.kind(), BuildErrorKind::Cancelled) {
            return error;
        }
        BuildErrorKind::CachedLayer {
            layer: digest,
            reason: crate::caching::record::chain(&error),
        }
        .into()
    }

    /// Compares what a layer unpacked to with what its image or record says.
    pub(crate) fn check_unpacked(
        &self,
        layer: &ImageLayer,
        found: DiffId,
    ) -> Result<(), BuildError> {
        if found == layer.diff_id {
            return Ok(());
        }
        let other = BuildErrorKind::OtherLayer {
            layer: layer.descriptor.digest,
            expected: layer.diff_id,
            found,
        };
        Err(self.at_fault(layer, other.into()))
    }

    fn is_from_cache(&self, layer: Digest) -> bool {
        let late = self
            .late
            .lock()
            .expect("nothing panics while it holds this lock");
        late.contains(&layer)
            || self
                .hits
                .values()
                .any(|hit| hit.record.layer.digest == layer)
    }

    /// Whether a destination is known to have a layer.
    pub(crate) fn is_placed(&self, repository: &Repository, layer: Digest) -> bool {
        let placed = self
            .placed
            .lock()
            .expect("nothing panics while it holds this lock");
        placed.contains(&(repository.clone(), layer))
    }

    /// Remembers that a destination has a layer.
    pub(crate) fn place(&self, repository: &Repository, layer: Digest) {
        self.placed
            .lock()
            .expect("nothing panics while it holds this lock")
            .insert((repository.clone(), layer));
    }

    async fn fetched(&self, layer: &FinishedLayer, arrival: &Arrival) -> Result<Blob, BuildError> {
        let descriptor = &layer.listed.descriptor;
        match &layer.place {
            Place::Spool(blob) => Ok(blob.clone()),
            Place::Directory(path) => Ok(Layout::open(path)?.blob(descriptor)?),
            Place::Registry(reference) => self.download(reference, descriptor, arrival).await,
        }
    }

    /// Downloads a layer, from its start again if a copy turns out to have wrong bytes.
    async fn download(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        arrival: &Arrival,
    ) -> Result<Blob, BuildError> {
        if let Some(blob) = crate::bases::warmed::take(self, descriptor).await {
            return Ok(blob);
        }
        let registry = &self.services.registry;
        let mut attempt = 1;
        loop {
            let open = || async {
                let transfer = self.transfers.pull(reference, descriptor);
                let reader = registry.blob(reference.name(), descriptor).await?;
                Ok::<_, yadokari_registry::RegistryError>(transfer.watch(reader))
            };
            let received = self.spool.receive_while_read(descriptor, arrival, open);
            let error = match received.await {
                Ok(blob) => return Ok(blob),
                Err(error) => error,
            };
            let wait = match &error {
                ReceiveError::Open(error) => registry.wait_for_another_copy(attempt, error),
                error => registry.wait_for_another_copy(attempt, error),
            };
            let Some(wait) = wait else {
                return Err(match error {
                    ReceiveError::Open(error) => error.into(),
                    ReceiveError::Store(error) => error.into(),
                    other => BuildErrorKind::Refused(other.to_string()).into(),
                });
            };
            tracing::warn!(%error, attempt, ?wait, "downloading again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Keeps commands from moving the root away while files outside the state directory are read.
    pub(crate) async fn stay(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.ground).read_owned().await
    }

    /// The same for what a step reads, if commands could move that away.
    pub(crate) async fn stay_with(
        &self,
        source: &yadokari_plan::Source,
    ) -> Option<OwnedRwLockReadGuard<()>> {
        match self.movable.has(source) {
            true => Some(self.stay().await),
            false => None,
        }
    }

    /// Whether a stage's disk has no other reader than the one that asks.
    pub(crate) fn is_sole_reader(&self, directory: &Path) -> bool {
        let stage = self
            .plan
            .stages
            .iter()
            .find(|stage| self.stage_directory(stage.id) == directory);
        stage.is_some_and(|stage| self.schedule.readers(stage.id) == 1)
    }

    /// Whether a stage's layers are part of an image that is pushed.
    pub(crate) fn is_published(&self, stage: StageId) -> bool {
        let mut at = self.request.outputs.push.then_some(self.plan.target);
        while let Some(id) = at {
            if id == stage {
                return true;
            }
            at = match self.plan.stage(id).map(|stage| &stage.base) {
                Some(Base::Stage(parent)) => Some(*parent),
                _ => None,
            };
        }
        false
    }

    /// Whether all layers of a stage, and of those it starts from, come from the cache under the keys that were planned.
    pub(crate) fn is_all_cached(&self, id: StageId) -> bool {
        let mut next = Some(id);
        while let Some(id) = next {
            let Some(stage) = self.plan.stage(id) else {
                return false;
            };
            let steps = stage.steps.iter().enumerate();
            let mut layers = steps.filter(|(_, step)| step.operation.makes_layer());
            if !layers.all(|(index, _)| self.schedule.is_cached(stage, index)) {
                return false;
            }
            next = match stage.base {
                Base::Stage(parent) => Some(parent),
                _ => None,
            };
        }
        true
    }

    /// The files of an image that is copied or mounted from.
    pub(crate) fn image_files(&self, key: &ImageKey) -> Arc<Mutex<StageFiles>> {
        Arc::clone(&self.image_files[key])
    }

    /// Starts work that the build only waits for at its end.
    pub(crate) fn in_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(task.instrument(self.span.clone()));
        self.background
            .lock()
            .expect("nothing panics while it holds this lock")
            .push(handle);
    }

    /// Waits for all background work.
    pub(crate) async fn settle(&self) {
        let tasks = std::mem::take(
            &mut *self
                .background
                .lock()
                .expect("nothing panics while it holds this lock"),
        );
        for task in tasks {
            if let Err(failed) = task.await
                && failed.is_panic()
            {
                std::panic::resume_unwind(failed.into_panic());
            }
        }
    }

    /// Tells the user something once, however many steps find it.
    pub(crate) fn notice(&self, text: &str) {
        let mut told = self
            .told
            .lock()
            .expect("nothing panics while it holds this lock");
        if told.insert(text.to_owned()) {
            self.tell(Event::Notice(text));
        }
    }

    /// Tells what happens.
    pub(crate) fn tell(&self, event: Event<'_>) {
        self.services.events.on(event);
    }
}

/// Times in new layers are cut to this, in seconds since 1970.
pub(crate) fn clamp(request: &BuildRequest, plan: &Plan) -> Option<i64> {
    let epoch = request.times.epoch.or(plan.epoch);
    match (request.times.rewrite_layers, request.times.reproducible) {
        (true, _) => epoch,
        (false, true) => Some(epoch.unwrap_or(0)),
        (false, false) => None,
    }
}

/// The identity of a step in events.
pub(crate) fn step_id(stage: StageId, step: usize) -> StepId {
    StepId {
        stage: stage.0,
        step: step + 1,
    }
}
