//! The cache mounts of one build: which directories they are, what is brought back first and what is kept after.

mod bring;
mod keep;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use tokio::task::JoinSet;
use yadokari_cache::mounts::{
    LocalMounts, LocalSlot, LockKind, MountIdentity, MountLock, MountName, MountStore, Saved,
};
use yadokari_cache::{Location, Scopes};
use yadokari_plan::{Operation, Run};
use yadokari_tree::Tree;

use crate::error::BuildError;
use crate::events::Event;
use crate::request::{BuildRequest, CacheLocation, KeepMounts};
use crate::services::Services;
use crate::step::caches::identity;
use crate::work::Work;

/// The cache mounts of a build, of all its platforms.
#[derive(Debug)]
pub(crate) struct CacheMounts {
    this: std::sync::Weak<Self>,
    local: LocalMounts,
    store: Option<MountStore>,
    /// Whether mounts are saved to the store.
    push: bool,
    /// The most bytes a mount that stays on this machine may hold.
    local_limit: Option<u64>,
    services: Services,
    ground: Arc<RwLock<()>>,
    /// How many commands are still to use a mount.
    expected: Mutex<HashMap<MountName, usize>>,
    /// The mounts that this build has used, by their directory.
    uses: Mutex<HashMap<PathBuf, Use>>,
    saves: Mutex<JoinSet<()>>,
    transfers: AtomicU64,
}

/// A mount that the build has used.
#[derive(Debug)]
struct Use {
    identity: MountIdentity,
    slot: LocalSlot,
    base: Option<Base>,
    /// Whether a command that may have changed it succeeded.
    touched: bool,
    /// Keeps other builds from replacing files that are not saved yet.
    pin: Option<MountLock>,
}

/// What is saved of a mount.
#[derive(Debug)]
struct Base {
    saved: Saved,
    /// The files as they are on disk where nothing changed.
    tree: Tree,
}

/// The most bytes of a saved mount where the request does not say.
const LIMIT: u64 = 2 << 30;
/// Numbers of transfers, apart from those of images.
const FIRST_TRANSFER: u64 = 1 << 40;

impl CacheMounts {
    /// Prepares for mounts as the request has them; `scratch` is gone after the build.
    pub(crate) fn new(
        request: &BuildRequest,
        services: &Services,
        ground: &Arc<RwLock<()>>,
        scratch: &Path,
    ) -> Arc<Self> {
        let asked = &request.cache_mounts;
        let top = match asked.keep {
            KeepMounts::Off => scratch,
            KeepMounts::Local | KeepMounts::Saved(_) => &request.state_dir,
        };
        let limit = asked.limit.filter(|limit| *limit > 0);
        let store = match &asked.keep {
            KeepMounts::Saved(place) => {
                let limit = asked.limit.map_or(Some(LIMIT), |_| limit);
                let store = MountStore::new(location(place), &services.registry, limit);
                Some(store.scoped(Scopes::new(request.cache.scopes.clone())))
            }
            KeepMounts::Off | KeepMounts::Local => None,
        };
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            local: LocalMounts::new(top.join("cache-mounts")),
            local_limit: limit.filter(|_| store.is_none()),
            store,
            push: request.cache.push,
            services: services.clone(),
            ground: Arc::clone(ground),
            expected: Mutex::default(),
            uses: Mutex::default(),
            saves: Mutex::default(),
            transfers: AtomicU64::new(FIRST_TRANSFER),
        })
    }

    /// Counts the commands that will use each mount, so that it can be saved after the last of them.
    pub(crate) fn expect(&self, work: &Work) {
        let mut expected = locked(&self.expected);
        for stage in &work.plan.stages {
            for (index, step) in stage.steps.iter().enumerate() {
                if let Operation::Run(run) = &step.operation
                    && work.schedule.needs(stage.id)
                    && !work.schedule.is_cached(stage, index)
                {
                    for name in names(work, stage, run) {
                        *expected.entry(name).or_default() += 1;
                    }
                }
            }
        }
    }

    /// The place of a mount on this machine.
    pub(crate) fn slot(&self, name: &MountName, instance: usize) -> LocalSlot {
        self.local.slot(name, instance)
    }

    /// Brings a mount up to what is saved of it, the first time that the build uses it.
    ///
    /// The caller holds the mount's lock whole. What cannot be brought back is told about, and the mount stays as
    /// it is.
    pub(crate) async fn refresh(
        &self,
        identity: &MountIdentity,
        slot: &LocalSlot,
    ) -> Result<(), BuildError> {
        if locked(&self.uses).contains_key(&slot.data()) {
            return Ok(());
        }
        let pin = slot.try_pin(LockKind::Exclusive)?;
        let base = match (&self.store, &pin) {
            (Some(store), Some(_)) => self.bring_back(store, identity, slot).await,
            // Another build of this machine has changes that are not saved yet.
            _ => None,
        };
        let pin = match pin {
            Some(whole) => whole.share()?,
            None => slot.try_pin(LockKind::Shared)?,
        };
        self.remember(identity, slot, base, pin);
        Ok(())
    }

    /// Uses a mount as another build of this machine has it now.
    pub(crate) fn join(
        &self,
        identity: &MountIdentity,
        slot: &LocalSlot,
    ) -> Result<(), BuildError> {
        if !locked(&self.uses).contains_key(&slot.data()) {
            let pin = slot.try_pin(LockKind::Shared)?;
            self.remember(identity, slot, None, pin);
        }
        Ok(())
    }

    fn remember(
        &self,
        identity: &MountIdentity,
        slot: &LocalSlot,
        base: Option<Base>,
        pin: Option<MountLock>,
    ) {
        let used = Use {
            identity: identity.clone(),
            slot: slot.clone(),
            base,
            touched: false,
            pin,
        };
        locked(&self.uses).entry(slot.data()).or_insert(used);
    }

    /// Notes that a command used a mount and succeeded. After the last one the mount is saved, while the build goes on.
    pub(crate) fn done(&self, name: &MountName, slot: &LocalSlot, writable: bool) {
        if let Some(used) = locked(&self.uses).get_mut(&slot.data()) {
            used.touched |= writable;
        }
        let is_last = match locked(&self.expected).get_mut(name) {
            Some(left) => {
                *left = left.saturating_sub(1);
                *left == 0
            }
            None => false,
        };
        if is_last {
            self.start_saving(&|used| used.identity.name() == *name);
        }
    }

    /// Saves what is left to be saved and waits for all that is being saved. A build that was stopped saves nothing.
    pub(crate) async fn settle(&self) {
        if self.services.cancel.is_cancelled() {
            return;
        }
        self.start_saving(&|_| true);
        let mut saves = std::mem::take(&mut *locked(&self.saves));
        while let Some(saved) = saves.join_next().await {
            if let Err(failed) = saved
                && failed.is_panic()
            {
                std::panic::resume_unwind(failed.into_panic());
            }
        }
        self.empty_what_is_too_large().await;
    }

    /// Gives up whatever is being saved. What was saved before stays as it is.
    pub(crate) fn abandon(&self) {
        locked(&self.saves).abort_all();
    }

    /// Keeps commands from moving the root away while a directory outside the state directory is used.
    async fn stay(&self, store: &MountStore) -> Option<OwnedRwLockReadGuard<()>> {
        match store.directory() {
            Some(_) => Some(Arc::clone(&self.ground).read_owned().await),
            None => None,
        }
    }

    fn notice(&self, text: &str) {
        self.services.events.on(Event::Notice(text));
    }

    fn transfer(&self, label: &str, total: u64) -> Told<'_> {
        let id = self.transfers.fetch_add(1, Ordering::Relaxed);
        let events = &self.services.events;
        events.on(Event::TransferStarted { id, label, total });
        Told { mounts: self, id }
    }
}

/// A transfer that was told, until its end.
struct Told<'m> {
    mounts: &'m CacheMounts,
    id: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let finished = Event::TransferFinished { id: self.id };
        self.mounts.services.events.on(finished);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds this lock")
}

fn location(place: &CacheLocation) -> Location {
    match place {
        CacheLocation::Repository(reference) => Location::Repository(reference.name().clone()),
        CacheLocation::Directory(path) => Location::Directory(path.clone()),
    }
}

/// The mounts of a command, each once.
fn names(work: &Work, stage: &yadokari_plan::Stage, run: &Run) -> BTreeSet<MountName> {
    let caches = run
        .mounts
        .iter()
        .filter(|mount| mount.mount.kind == yadokari_dockerfile::instruction::MountKind::Cache);
    caches
        .map(|mount| identity(work, stage, mount).name())
        .collect()
}
