//! Base images that are unpacked once, for all stages and for later builds on the machine.
//!
//! A stage does not own such files: its root lies over them and holds only what differs. That takes
//! overlay mounts; where there are none, each stage unpacks for itself.

mod stored;
pub(crate) mod warmed;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell};
use tracing::Instrument as _;
use yadokari_rootfs::{Root, Snapshot};
use yadokari_tree::Tree;

use crate::blocking::blocking;
use crate::error::BuildError;
use crate::stage::files::StageFiles;
use crate::stage::layers::Layer;
use crate::trace::work_span;
use crate::work::Work;
use stored::{Opened, Opening};

pub use stored::{StoredBase, stored_bases};

/// The bases of a state directory.
#[derive(Debug)]
pub(crate) struct Bases {
    directory: PathBuf,
    /// Those this build uses, by their ids.
    used: Mutex<HashMap<String, Arc<OnceCell<Arc<Base>>>>>,
}

/// A base's files, which nobody changes.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) root: Arc<Root>,
    pub(crate) tree: Tree,
    _held: Held,
}

/// What keeps a base's files from being removed.
#[derive(Debug)]
enum Held {
    /// They belong to the machine, and are locked.
    Stored { _lock: File },
    /// They are this build's alone.
    Scratch { _directory: TempDir },
}

impl Bases {
    /// The bases below a state directory; nothing is made or opened yet.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            directory: stored::directory(state_dir),
            used: Mutex::default(),
        }
    }

    /// The files of these layers: those of an earlier build, or unpacked now.
    pub(crate) async fn base(
        &self,
        work: &Work,
        layers: &[Layer],
    ) -> Result<Arc<Base>, BuildError> {
        let id = id(layers).await?;
        let cell = Arc::clone(self.used.lock().await.entry(id.clone()).or_default());
        let base = cell.get_or_try_init(|| self.open_or_make(work, &id, layers));
        base.await.cloned()
    }

    /// The tree of these layers, if an earlier build unpacked them.
    pub(crate) async fn tree(&self, layers: &[Layer]) -> Result<Option<Tree>, BuildError> {
        let path = self.directory.join(id(layers).await?);
        let read = blocking(move || stored::read(&path));
        Ok(read.await.ok().map(|snapshot| snapshot.tree().clone()))
    }

    async fn open_or_make(
        &self,
        work: &Work,
        id: &str,
        layers: &[Layer],
    ) -> Result<Arc<Base>, BuildError> {
        let path = self.directory.join(id);
        if let Some(base) = self.open(work, &path).await? {
            return Ok(base);
        }
        let turn = self.turn(id).await?;
        // Another build may have made it in the meantime.
        if let Some(base) = self.open(work, &path).await? {
            return Ok(base);
        }
        let base = Box::pin(self.make(work, &path, layers)).await;
        drop(turn);
        base
    }

    async fn open(&self, work: &Work, path: &Path) -> Result<Option<Arc<Base>>, BuildError> {
        let (threads, place) = (work.services.threads, path.to_owned());
        let opening = blocking(move || stored::open(&place, threads))
            .instrument(work_span!("scan", "base"))
            .await;
        match opening.map_err(|source| BuildError::disk(path, source))? {
            Opening::Absent => Ok(None),
            Opening::Usable(opened) => Ok(Some(shared(*opened))),
            Opening::Damaged => {
                work.notice(&format!(
                    "the unpacked base image in {} was changed by something else; it is unpacked again",
                    path.display()
                ));
                let place = path.to_owned();
                let removed = blocking(move || stored::remove(&place)).await;
                removed.map_err(|source| BuildError::disk(path, source))?;
                Ok(None)
            }
        }
    }

    /// Waits until no other build makes the same base.
    async fn turn(&self, id: &str) -> Result<Turn, BuildError> {
        let path = self.directory.join(format!("{id}.lock"));
        let place = path.clone();
        let turn = blocking(move || Turn::take(place)).await;
        turn.map_err(|source| BuildError::disk(&path, source))
    }

    async fn make(
        &self,
        work: &Work,
        path: &Path,
        layers: &[Layer],
    ) -> Result<Arc<Base>, BuildError> {
        let failed = |source| BuildError::disk(path, source);
        let now = work.services.clock.now();
        let (directory, then) = (self.directory.clone(), now - UNUSED);
        blocking(move || stored::sweep(&directory, then))
            .await
            .map_err(failed)?;
        let made = TempDir::with_prefix_in(stored::PASSING, &self.directory).map_err(failed)?;
        let busy = File::open(made.path()).map_err(failed)?;
        busy.lock_shared().map_err(failed)?;
        let mut files = StageFiles::new(layers.to_vec(), made.path().join(stored::ROOT));
        let (root, tree) = files.root(work).await?;
        let (options, path) = (work.whole_scan_options(), path.to_owned());
        blocking(move || {
            let snapshot = Snapshot::take(&root, &tree, &options)?;
            Ok(finished(made, root, tree, snapshot, &path))
        })
        .await
    }
}

/// The right to make one base. The file that says so goes with it.
struct Turn {
    path: PathBuf,
    _lock: File,
}

impl Turn {
    fn take(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        loop {
            let lock = File::create(&path)?;
            lock.lock()?;
            // Whoever had it may have removed it while this waited.
            if stored::is_at(&lock, &path) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that is left costs nothing and is used again.
        let _ = fs::remove_file(&self.path);
    }
}

/// Keeps new files for later builds, if the disk shows them as they are. Where it does not, or they cannot be moved
/// into their place, they serve this build only.
fn finished(
    made: TempDir,
    root: Arc<Root>,
    tree: Tree,
    snapshot: Snapshot,
    path: &Path,
) -> Arc<Base> {
    if snapshot.tree().root().same(tree.root())
        && let Ok(opened) = stored::keep(made.path(), snapshot, path)
    {
        // It is no longer under its first name.
        let _ = made.keep();
        return shared(opened);
    }
    Arc::new(Base {
        root,
        tree,
        _held: Held::Scratch { _directory: made },
    })
}

fn shared(opened: Opened) -> Arc<Base> {
    Arc::new(Base {
        root: Arc::new(opened.root),
        tree: opened.snapshot.tree().clone(),
        _held: Held::Stored { _lock: opened.lock },
    })
}

/// What tells one base from another: its layers, and whose files this process may write.
async fn id(layers: &[Layer]) -> Result<String, BuildError> {
    let mut hasher = Sha256::new();
    for map in ["/proc/self/uid_map", "/proc/self/gid_map"] {
        let map = fs::read_to_string(map).unwrap_or_default();
        hasher.update((map.len() as u64).to_le_bytes());
        hasher.update(map);
    }
    for layer in layers {
        hasher.update(layer.finished().await?.listed.diff_id.to_string());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A base that no build uses for so long is removed when another one is made.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
