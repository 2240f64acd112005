//! The directories of cache mounts on this machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use yadokari_image::Digest;
use yadokari_rootfs::Root;
use yadokari_store::write_atomically;

use crate::mounts::error::MountError;
use crate::mounts::listing;
use crate::mounts::locks::{LockKind, MountLock};
use crate::mounts::name::{MountIdentity, MountName};
use crate::mounts::restore::read;

/// The cache mounts below a directory, shared by all builds that use it.
#[derive(Debug, Clone)]
pub struct LocalMounts {
    directory: PathBuf,
}

/// One cache mount's place: its files, its locks, and what is known of it.
#[derive(Debug, Clone)]
pub struct LocalSlot {
    path: PathBuf,
}

/// What is known of a cache mount on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMount {
    /// The name of its directory.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The platform it is for.
    pub platform: String,
    /// When a build used it last.
    pub used: Option<SystemTime>,
    /// Bytes in its files; 0 where they cannot be listed, as those of other users.
    pub bytes: u64,
}

/// What became of the mounts that were to be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunedMounts {
    /// Removed.
    pub removed: Vec<LocalMount>,
    /// Kept, since a build is using them.
    pub in_use: Vec<LocalMount>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct About {
    id: String,
    platform: String,
    used: String,
    /// The record that the files were restored from, or saved as, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Digest>,
}

const DATA: &str = "data";
const LOCK: &str = "lock";
const BUSY: &str = "busy";
const ABOUT: &str = "about.json";
/// How directories begin that are on their way in or out.
const PASSING: &str = "tmp-";

impl LocalMounts {
    /// The mounts below a directory, which need not exist.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self { directory }
    }

    /// The place of a mount. Builds that may not share one use further `instance`s, counted from 0.
    #[must_use]
    pub fn slot(&self, name: &MountName, instance: usize) -> LocalSlot {
        let folder = match instance {
            0 => name.to_string(),
            further => format!("{name}.{further}"),
        };
        LocalSlot {
            path: self.directory.join(folder),
        }
    }

    /// All mounts, by the name of their directory.
    ///
    /// # Errors
    ///
    /// [`MountError`] if a directory cannot be listed.
    pub fn list(&self) -> Result<Vec<LocalMount>, MountError> {
        let mut found = Vec::new();
        for slot in self.slots()? {
            found.extend(slot.describe()?);
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Removes the mounts that `chosen` says yes to, but for those that a build is using.
    ///
    /// # Errors
    ///
    /// [`MountError`] if a directory cannot be listed or removed.
    pub fn prune(&self, chosen: &dyn Fn(&LocalMount) -> bool) -> Result<PrunedMounts, MountError> {
        let mut pruned = PrunedMounts::default();
        for slot in self.slots()? {
            let Some(mount) = slot.describe()?.filter(|mount| chosen(mount)) else {
                continue;
            };
            match slot.remove()? {
                true => pruned.removed.push(mount),
                false => pruned.in_use.push(mount),
            }
        }
        Ok(pruned)
    }

    fn slots(&self) -> Result<Vec<LocalSlot>, MountError> {
        let failed = |source| MountError::disk(&self.directory, source);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let slot = |entry: io::Result<fs::DirEntry>| {
            Ok(LocalSlot {
                path: entry?.path(),
            })
        };
        entries.map(slot).collect::<io::Result<_>>().map_err(failed)
    }
}

impl LocalSlot {
    /// Where the files are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }

    /// Takes the lock that a command holds while it uses the files; `None` if somebody else holds it.
    ///
    /// # Errors
    ///
    /// [`MountError`] if the state directory cannot be written.
    pub fn try_lock(&self, kind: LockKind) -> Result<Option<MountLock>, MountError> {
        MountLock::try_take(&self.path.join(LOCK), kind)
    }

    /// Takes the lock that a build holds from its first use of the files until they are saved.
    ///
    /// Whoever has it whole may replace the files by what is saved elsewhere.
    ///
    /// # Errors
    ///
    /// As [`LocalSlot::try_lock`].
    pub fn try_pin(&self, kind: LockKind) -> Result<Option<MountLock>, MountError> {
        MountLock::try_take(&self.path.join(BUSY), kind)
    }

    /// Makes a directory beside the files, for the files to be; it goes when it is dropped.
    ///
    /// What killed builds left of theirs is removed, so the caller holds the lock whole.
    ///
    /// # Errors
    ///
    /// [`MountError`] if the state directory cannot be written.
    pub fn draft(&self) -> Result<TempDir, MountError> {
        let failed = |source| MountError::disk(&self.path, source);
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(PASSING) {
                destroy(&entry.path())?;
            }
        }
        TempDir::with_prefix_in(PASSING, &self.path).map_err(failed)
    }

    /// Puts a directory in the place of the files. The caller holds the lock whole.
    ///
    /// # Errors
    ///
    /// [`MountError`] if the files of before cannot be removed or the new ones not renamed.
    pub fn install(&self, directory: &Path) -> Result<(), MountError> {
        let data = self.data();
        let failed = |source| MountError::disk(&data, source);
        if data.symlink_metadata().is_ok() {
            let aside = TempDir::with_prefix_in(PASSING, &self.path).map_err(failed)?;
            let old = aside.path().join(DATA);
            fs::rename(&data, &old).map_err(failed)?;
            destroy(&old)?;
        }
        fs::rename(directory, &data).map_err(failed)
    }

    /// The record that the files are a copy of.
    #[must_use]
    pub fn base(&self) -> Option<Digest> {
        self.about().unwrap_or_default().base
    }

    /// Writes down what the files are and when they were used.
    ///
    /// # Errors
    ///
    /// [`MountError`] if the state directory cannot be written.
    pub fn note(
        &self,
        identity: &MountIdentity,
        base: Option<Digest>,
        now: SystemTime,
    ) -> Result<(), MountError> {
        let about = About {
            id: identity.id.clone(),
            platform: identity.platform.to_string(),
            used: humantime::format_rfc3339_seconds(now).to_string(),
            base,
        };
        let bytes = yadokari_image::json::compact(&about);
        Ok(write_atomically(&self.path.join(ABOUT), &bytes)?)
    }

    /// Removes the files and everything about them. Says `false` where a build is using them.
    ///
    /// # Errors
    ///
    /// [`MountError`] if something cannot be removed.
    pub fn remove(&self) -> Result<bool, MountError> {
        let (Some(_lock), Some(_pin)) = (
            self.try_lock(LockKind::Exclusive)?,
            self.try_pin(LockKind::Exclusive)?,
        ) else {
            return Ok(false);
        };
        destroy(&self.path)?;
        Ok(true)
    }

    fn about(&self) -> Option<About> {
        serde_json::from_slice(&fs::read(self.path.join(ABOUT)).ok()?).ok()
    }

    /// `None` where the directory holds no mount.
    fn describe(&self) -> Result<Option<LocalMount>, MountError> {
        let data = self.data();
        let root = match Root::open(&data) {
            Err(_) if !data.is_dir() => return Ok(None),
            root => root.map_err(|source| MountError::disk(&data, source))?,
        };
        let about = self.about().unwrap_or_default();
        let name = self.path.file_name().unwrap_or_default();
        Ok(Some(LocalMount {
            name: name.to_string_lossy().into_owned(),
            bytes: read(&root, 2)
                .ok()
                .and_then(|tree| listing::bytes(&tree))
                .unwrap_or_default(),
            used: humantime::parse_rfc3339(&about.used).ok(),
            id: about.id,
            platform: about.platform,
        }))
    }

    /// Bytes in the files.
    ///
    /// # Errors
    ///
    /// [`MountError`] if they cannot be listed.
    pub fn bytes(&self) -> Result<u64, MountError> {
        Ok(self.describe()?.map_or(0, |mount| mount.bytes))
    }
}

/// Removes a directory that a command may have filled with anything.
fn destroy(path: &Path) -> Result<(), MountError> {
    let removed = Root::open(path).and_then(Root::destroy);
    removed.map_err(|source| MountError::disk(path, source))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use yadokari_image::Platform;

    use super::*;

    fn identity(id: &str) -> MountIdentity {
        MountIdentity {
            namespace: String::new(),
            id: id.to_owned(),
            seed: String::new(),
            platform: Platform::new("linux", "amd64"),
        }
    }

    fn filled(mounts: &LocalMounts, id: &str, bytes: &[u8]) -> LocalSlot {
        let identity = identity(id);
        let slot = mounts.slot(&identity.name(), 0);
        let _lock = slot.try_lock(LockKind::Exclusive).unwrap().unwrap();
        let draft = slot.draft().unwrap();
        let new = draft.path().join("files");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("f"), bytes).unwrap();
        slot.install(&new).unwrap();
        slot.note(&identity, Some(Digest::of(bytes)), used())
            .unwrap();
        slot
    }

    fn used() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)
    }

    #[test]
    fn mounts_are_listed_replaced_and_pruned_unless_they_are_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let mounts = LocalMounts::new(directory.path().join("none yet"));
        assert_eq!(mounts.list().unwrap(), []);
        let npm = filled(&mounts, "npm", b"1234567");
        let npm_again = filled(&mounts, "npm", b"12");
        filled(&mounts, "pip", b"123");
        assert_eq!(npm_again.base(), Some(Digest::of(b"12")));
        assert_eq!(fs::read(npm.data().join("f")).unwrap(), b"12");
        let mut found: Vec<_> = mounts
            .list()
            .unwrap()
            .into_iter()
            .map(|mount| (mount.id, mount.bytes, mount.used))
            .collect();
        found.sort();
        let expected = [
            ("npm".to_owned(), 2, Some(used())),
            ("pip".to_owned(), 3, Some(used())),
        ];
        assert_eq!(found, expected);

        let lock = npm.try_lock(LockKind::Shared).unwrap();
        let pruned = mounts.prune(&|_| true).unwrap();
        assert_eq!((pruned.removed.len(), pruned.in_use.len()), (1, 1));
        drop(lock);
        assert_eq!(
            mounts.prune(&|mount| mount.bytes > 2).unwrap(),
            PrunedMounts::default()
        );
        assert_eq!(mounts.prune(&|_| true).unwrap().removed.len(), 1);
        assert_eq!(
            fs::read_dir(directory.path().join("none yet"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn what_a_killed_build_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let mounts = LocalMounts::new(directory.path());
        let slot = filled(&mounts, "npm", b"1");
        let left = slot.path.join("tmp-left");
        fs::create_dir_all(left.join("half")).unwrap();
        drop(slot.draft().unwrap());
        assert!(!left.exists() && slot.data().exists());
    }
}
