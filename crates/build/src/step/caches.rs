//! The caches of a RUN: whose they are while it runs, and what they are when nobody filled them yet.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use yadokari_cache::mounts::{LocalSlot, LockKind, MountIdentity, MountLock, MountName};
use yadokari_dockerfile::instruction::{Mount, MountKind, Sharing};
use yadokari_plan::{RunMount, Source, Stage};
use yadokari_rootfs::{Exclude, Root, copy_root, walk};

use super::At;
use super::shown::Shown;
use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::work::Work;

/// A cache that a command asks for.
pub(crate) struct Wanted {
    identity: MountIdentity,
    pub(crate) name: MountName,
    pub(crate) target: PathBuf,
    mount: Mount,
    /// The files it starts with.
    seed: Option<Shown>,
}

/// A cache that a command has for itself, or shares with others that may.
#[derive(Debug)]
pub(crate) struct Taken {
    name: MountName,
    slot: LocalSlot,
    /// Whether the command may change the files.
    writable: bool,
    lock: MountLock,
}

/// The time between two looks at a lock that somebody else holds.
const PAUSE: Duration = Duration::from_millis(50);
/// After how many looks the user is told what is waited for.
const PATIENCE: u32 = 60;
/// How many commands may have a private copy of one cache.
const INSTANCES: usize = 64;

impl Wanted {
    /// Reads a mount, `None` if it is no cache. Waits for the stage or image that it is seeded from.
    pub(crate) async fn find(at: At<'_>, mount: &RunMount) -> Result<Option<Self>, BuildError> {
        if mount.mount.kind != MountKind::Cache {
            return Ok(None);
        }
        let identity = identity(at.work, at.stage, mount);
        let seed = match &mount.from {
            Some(from) => Some(Shown::find(at, from, mount.mount.source.as_deref()).await?),
            None => None,
        };
        Ok(Some(Self {
            name: identity.name(),
            identity,
            target: PathBuf::from(mount.target.as_deref().unwrap_or("/")),
            mount: mount.mount.clone(),
            seed,
        }))
    }

    /// Makes the directory of a cache that nobody filled yet.
    async fn fill(&self, at: At<'_>, path: &Path) -> Result<(), BuildError> {
        let failed = |source| BuildError::disk(path, source);
        match &self.seed {
            Some(seed) => seed.copy_to(at, path).await?,
            None => fs::create_dir(path).map_err(failed)?,
        }
        let Mount { mode, uid, gid, .. } = &self.mount;
        chown(path, Some(uid.unwrap_or(0)), Some(gid.unwrap_or(0))).map_err(failed)?;
        if self.seed.is_none() || mode.is_some() {
            fs::set_permissions(path, fs::Permissions::from_mode(mode.unwrap_or(0o755)))
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// What tells a cache from others.
pub(crate) fn identity(work: &Work, stage: &Stage, mount: &RunMount) -> MountIdentity {
    const NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
    let arguments = &work.request.build_args;
    let namespace = arguments.iter().rev().find(|(name, _)| name == NAMESPACE);
    let id = mount.mount.id.as_ref().or(mount.target.as_ref());
    let path = mount.mount.source.as_deref().unwrap_or_default();
    let seed = match &mount.from {
        Some(from) => seed(work, from, path),
        None => made_as(&mount.mount),
    };
    MountIdentity {
        namespace: namespace.map_or_else(String::new, |(_, value)| value.clone()),
        id: id.cloned().unwrap_or_default(),
        seed,
        platform: stage.platform.clone(),
    }
}

/// How an empty cache is made. One that is asked for with another mode or owner is another cache.
fn made_as(mount: &Mount) -> String {
    match (mount.mode, mount.uid, mount.gid) {
        (None, None, None) => String::new(),
        (mode, uid, gid) => format!(
            "made {:o} {}:{}",
            mode.unwrap_or(0o755),
            uid.unwrap_or(0),
            gid.unwrap_or(0)
        ),
    }
}

/// What a cache is seeded from. Another content is another cache, as far as the content is known before it is made.
fn seed(work: &Work, from: &Source, path: &str) -> String {
    let source = match from {
        Source::Image(key) => format!("image {}", work.images[key].digest()),
        Source::Stage(id) => {
            let stage = work.plan.stage(*id);
            let steps = stage.map_or(0, |stage| stage.steps.len());
            let key = (0..steps).rev().find_map(|step| work.keys.step(*id, step));
            match (key, stage) {
                (Some(key), _) => format!("stage {key}"),
                (None, Some(stage)) => format!("stage {}", stage.name),
                (None, None) => format!("stage {id}"),
            }
        }
        Source::Named(name) => format!("context {name}"),
        Source::Context => "context".to_owned(),
        Source::Scratch => "scratch".to_owned(),
    };
    format!("{source} {path}")
}

impl Taken {
    /// Waits until a cache may be used, brings it up to date, and makes it if there is none.
    ///
    /// `same` are the mounts of one command that show this cache.
    pub(crate) async fn take(at: At<'_>, same: &[Wanted]) -> Result<Self, BuildError> {
        let first = same.first().expect("a group has at least one member");
        let writable = same.iter().filter(|one| !one.mount.read_only).count();
        let manner = Manner::of(at, same);
        if manner.moves && writable > 1 {
            return Err(BuildErrorKind::Refused(format!(
                "the cache mount {:?} is mounted twice by one command, which this isolation cannot do: \
                 mount it once, or use --isolation=namespaces",
                first.identity.id
            ))
            .into());
        }
        let mut looks = 0;
        loop {
            if let Some((slot, lock)) = try_take(at, first, manner).await? {
                return Ok(Self {
                    name: first.name.clone(),
                    slot,
                    writable: writable > 0,
                    lock,
                });
            }
            looks += 1;
            if looks == PATIENCE {
                at.work.notice(&format!(
                    "waiting for the cache mount `{}`, which another command is using",
                    first.identity.id
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The directory that a mount shows, and whether it is to be mounted read-only.
    ///
    /// Where nothing enforces that, the mount shows a copy.
    pub(crate) async fn shown(
        &self,
        at: At<'_>,
        mount: &Wanted,
        copy: PathBuf,
    ) -> Result<(PathBuf, bool), BuildError> {
        let enforced = at.work.services.runner.abilities().read_only_mounts;
        if !mount.mount.read_only || enforced {
            return Ok((self.slot.data(), mount.mount.read_only));
        }
        let (data, threads) = (self.slot.data(), at.work.services.threads);
        blocking(move || copied(&data, &copy, threads).map(|()| (copy, true))).await
    }

    /// Lets others use the cache, after the command succeeded.
    pub(crate) fn give_back(self, at: At<'_>) {
        let Self {
            name,
            slot,
            writable,
            lock,
        } = self;
        drop(lock);
        at.work.cache_mounts.done(&name, &slot, writable);
    }
}

/// How a command uses a cache beside others.
#[derive(Debug, Clone, Copy)]
struct Manner {
    sharing: Sharing,
    /// The isolation moves the directory while the command runs, so that nobody else can use it.
    moves: bool,
}

impl Manner {
    fn of(at: At<'_>, same: &[Wanted]) -> Self {
        let asks = |wanted| {
            let mut sharings = same.iter().map(|one| one.mount.sharing.unwrap_or_default());
            sharings.any(|sharing| sharing == wanted)
        };
        let sharing = match () {
            () if asks(Sharing::Locked) => Sharing::Locked,
            () if asks(Sharing::Private) => Sharing::Private,
            () => Sharing::Shared,
        };
        let moves = !at.work.services.runner.abilities().parallel;
        Self { sharing, moves }
    }

    fn is_exclusive(self) -> bool {
        self.moves || self.sharing != Sharing::Shared
    }

    /// How many directories are looked at for one that is free.
    fn instances(self) -> usize {
        match self.sharing {
            Sharing::Private => INSTANCES,
            Sharing::Shared | Sharing::Locked => 1,
        }
    }
}

/// Takes a cache if it is free, or if those that use it share it.
async fn try_take(
    at: At<'_>,
    wanted: &Wanted,
    manner: Manner,
) -> Result<Option<(LocalSlot, MountLock)>, BuildError> {
    for instance in 0..manner.instances() {
        let slot = at.work.cache_mounts.slot(&wanted.name, instance);
        if let Some(whole) = slot.try_lock(LockKind::Exclusive)? {
            renew(at, wanted, &slot).await?;
            let lock = match manner.is_exclusive() {
                true => Some(whole),
                false => whole.share()?,
            };
            return Ok(lock.map(|lock| (slot, lock)));
        }
        if !manner.is_exclusive()
            && let Some(lock) = slot.try_lock(LockKind::Shared)?
            && slot.data().is_dir()
        {
            // Somebody is using it, so it is as good as it gets.
            at.work.cache_mounts.join(&wanted.identity, &slot)?;
            return Ok(Some((slot, lock)));
        }
    }
    Ok(None)
}

/// Brings a cache up to date, and makes it if there is none. The caller holds its lock whole.
async fn renew(at: At<'_>, wanted: &Wanted, slot: &LocalSlot) -> Result<(), BuildError> {
    let mounts = &at.work.cache_mounts;
    mounts.refresh(&wanted.identity, slot).await?;
    if !slot.data().is_dir() {
        let draft = slot.draft()?;
        let files = draft.path().join("files");
        wanted.fill(at, &files).await?;
        slot.install(&files)?;
        slot.note(&wanted.identity, None, at.work.services.clock.now())?;
    }
    Ok(())
}

/// Copies a cache for a command that may change the copy only.
fn copied(data: &Path, copy: &Path, threads: usize) -> Result<(), BuildError> {
    let open = |path: &Path| Root::open(path).map_err(|source| BuildError::disk(path, source));
    let from = open(data)?;
    let to = Root::create(copy).map_err(|source| BuildError::disk(copy, source))?;
    let tree = walk(&from, threads, &|_, _| Exclude::Keep)?;
    copy_root(&from, &tree, &to)?;
    let top = fs::metadata(data).map_err(|source| BuildError::disk(data, source))?;
    fs::set_permissions(copy, top.permissions()).map_err(|source| BuildError::disk(copy, source))
}
