//! What this machine keeps in its state directory: records, blobs, unpacked base images, cache mounts.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use yadokari_build::stored_bases;
use yadokari_cache::mounts::LocalMounts;
use yadokari_cache::{Finding, LayerCache, Limits, Location, doomed};
use yadokari_registry::Client;
use yadokari_store::{Blob, Spool};

use super::{Item, entries, item, swept};
use crate::report::Failure;

/// The state directory of this machine.
pub(super) struct Local {
    state: PathBuf,
    client: Client,
}

/// Something on disk that can be removed by itself.
struct Removable {
    item: Item,
    path: PathBuf,
}

impl Removable {
    /// The same, dated by its last use where that is known.
    fn used(mut self, used: Option<SystemTime>) -> Self {
        self.item.made = used.or(self.item.made);
        self
    }
}

impl Local {
    pub(super) fn new(state: PathBuf, client: Client) -> Self {
        Self { state, client }
    }

    /// The records that builds without a registry keep here.
    pub(super) fn records(&self) -> Result<LayerCache, Failure> {
        if self.state.exists() && !self.state.is_dir() {
            return Err(Failure::told(format!(
                "{} is no directory",
                self.state.display()
            )));
        }
        let location = Location::Directory(self.state.join("layers"));
        Ok(LayerCache::new(location, &self.client, Duration::MAX))
    }

    /// Everything besides records.
    pub(super) fn items(&self) -> Result<Vec<Item>, Failure> {
        Ok(self
            .removable()?
            .into_iter()
            .map(|found| found.item)
            .collect())
    }

    /// Removes what goes beyond the limits, records and the rest counted together.
    pub(super) async fn prune(
        &self,
        limits: &Limits,
        now: SystemTime,
        dry_run: bool,
    ) -> Result<Vec<Item>, Failure> {
        let _turn = self.alone(dry_run)?;
        let cache = self.records()?;
        let records = entries(&cache).await?;
        let others = self.removable()?;
        let mut gone = Vec::new();
        let rest: u64 = others.iter().map(|found| found.item.size).sum();
        // The files that builds can fetch again go before the records that save them the work.
        let old = beyond(others, limits, now);
        let freed: u64 = old.iter().map(|found| found.item.size).sum();
        let left = Limits {
            keep_storage: limits
                .keep_storage
                .map(|keep| keep.saturating_sub(rest - freed)),
            ..*limits
        };
        let old_records = doomed(&records, &left, now);
        for found in old {
            if !dry_run {
                remove(&found.path)?;
            }
            gone.push(found.item);
        }
        gone.extend(old_records.iter().map(|entry| item(entry)));
        if !dry_run && !old_records.is_empty() {
            cache
                .remove(&old_records)
                .await
                .map_err(|error| Failure::new(&error))?;
        }
        gone.extend(swept(&cache, now, dry_run)?);
        Ok(gone)
    }

    /// Compares the bytes of all blobs with their names.
    pub(super) fn verify(&self) -> Result<Vec<Finding>, Failure> {
        let Some((spool, blobs)) = self.blobs()? else {
            return Ok(Vec::new());
        };
        let finding = |blob: &Blob| {
            let problem = spool.verify(blob).err()?;
            Some(Finding {
                tag: blob.digest.to_string(),
                problem: problem.to_string(),
            })
        };
        Ok(blobs.iter().filter_map(finding).collect())
    }

    fn removable(&self) -> Result<Vec<Removable>, Failure> {
        let mut found = Vec::new();
        for blob in self.blobs()?.map(|(_, blobs)| blobs).unwrap_or_default() {
            let name = blob.digest.hex()[..12].to_owned();
            let about = "a layer, downloaded or made here".to_owned();
            found.push(removable("blob", name, about, blob.size, blob.path));
        }
        let mounts = self.state.join("cache-mounts");
        let listed = LocalMounts::new(&mounts).list();
        for mount in listed.map_err(|error| Failure::new(&error))? {
            let path = mounts.join(&mount.name);
            let name = mount.name.chars().take(12).collect();
            let about = format!("cache mount {} ({})", mount.id, mount.platform);
            let found_mount = removable("mount", name, about, mount.bytes, path);
            found.push(found_mount.used(mount.used));
        }
        for base in stored_bases(&self.state).map_err(|error| self.unlistable(&error))? {
            let name = base.id.chars().take(12).collect();
            let about = "a base image, unpacked for RUN".to_owned();
            let found_base = removable("base", name, about, base.bytes, base.path);
            found.push(found_base.used(Some(base.used)));
        }
        found.sort_by_key(|found| found.item.made);
        Ok(found)
    }

    fn unlistable(&self, error: &std::io::Error) -> Failure {
        Failure::told(format!("cannot list {}: {error}", self.state.display()))
    }

    fn blobs(&self) -> Result<Option<(Spool, Vec<Blob>)>, Failure> {
        let directory = self.state.join("blobs");
        if !directory.is_dir() {
            return Ok(None);
        }
        let failed = |error: yadokari_store::StoreError| Failure::new(&error);
        let spool = Spool::open(&directory).map_err(failed)?;
        let blobs = spool.blobs().map_err(failed)?;
        Ok(Some((spool, blobs)))
    }

    /// Keeps builds from starting, and refuses while one is running: it counts on its files.
    fn alone(&self, dry_run: bool) -> Result<Option<File>, Failure> {
        if dry_run || !self.state.is_dir() {
            return Ok(None);
        }
        let failed = |error: std::io::Error| {
            Failure::told(format!("cannot lock {}: {error}", self.state.display()))
        };
        let turn = File::create(self.state.join("lock")).map_err(failed)?;
        turn.lock().map_err(failed)?;
        for entry in fs::read_dir(&self.state).map_err(failed)?.flatten() {
            let is_build = entry.file_name().to_string_lossy().starts_with("build-");
            if is_build && is_locked(&entry.path()) {
                return Err(
                    Failure::told(format!("a build is using {}", self.state.display()))
                        .with_hint("prune when it has ended"),
                );
            }
        }
        Ok(Some(turn))
    }
}

fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// What goes, oldest first.
fn beyond(found: Vec<Removable>, limits: &Limits, now: SystemTime) -> Vec<Removable> {
    let mut total: u64 = found.iter().map(|found| found.item.size).sum();
    let mut gone = Vec::new();
    for found in found {
        let made = found.item.made.unwrap_or(SystemTime::UNIX_EPOCH);
        let age = now.duration_since(made).unwrap_or_default();
        let is_old = limits.older_than.is_some_and(|limit| age >= limit);
        if is_old || limits.keep_storage.is_some_and(|keep| total > keep) {
            total -= found.item.size;
            gone.push(found);
        }
    }
    gone
}

fn removable(
    kind: &'static str,
    name: String,
    about: String,
    size: u64,
    path: PathBuf,
) -> Removable {
    let made = fs::metadata(&path)
        .and_then(|metadata| metadata.modified())
        .ok();
    Removable {
        item: Item {
            kind,
            name,
            about,
            scope: None,
            size,
            made,
        },
        path,
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::told(format!(
            "cannot remove {}: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(state: &Path) -> Local {
        let options = yadokari_registry::Options::default();
        Local::new(state.to_owned(), Client::new(options).unwrap())
    }

    fn filled() -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        let spool = Spool::open(state.path().join("blobs")).unwrap();
        spool.put(b"a blob").unwrap();
        spool.put(b"another").unwrap();
        let mount = state.path().join("cache-mounts/abc/data");
        fs::create_dir_all(&mount).unwrap();
        fs::write(mount.join("file"), "12345").unwrap();
        state
    }

    #[test]
    fn blobs_and_mounts_are_listed_with_their_sizes() {
        let state = filled();
        let items = local(state.path()).items().unwrap();
        let mut all: Vec<_> = items.iter().map(|item| (item.kind, item.size)).collect();
        all.sort_unstable();
        assert_eq!(all, [("blob", 6), ("blob", 7), ("mount", 5)]);
    }

    #[tokio::test]
    async fn pruning_frees_what_is_beyond_the_limits() {
        let state = filled();
        let local = local(state.path());
        let keep = |bytes| Limits {
            keep_storage: Some(bytes),
            older_than: None,
        };
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(local.prune(&keep(18), now, false).await.unwrap(), []);
        let planned = local.prune(&keep(0), now, true).await.unwrap();
        assert_eq!((planned.len(), local.items().unwrap().len()), (3, 3));
        assert_eq!(local.prune(&keep(0), now, false).await.unwrap().len(), 3);
        assert_eq!(local.items().unwrap(), []);
    }

    #[tokio::test]
    async fn nothing_is_taken_from_a_build_that_runs() {
        let state = filled();
        let build = state.path().join("build-x");
        fs::create_dir(&build).unwrap();
        let lock = File::open(&build).unwrap();
        lock.lock_shared().unwrap();
        let local = local(state.path());
        let all = Limits {
            keep_storage: Some(0),
            older_than: None,
        };
        let refused = local.prune(&all, SystemTime::UNIX_EPOCH, false).await;
        assert!(refused.unwrap_err().message.contains("a build is using"));
        assert_eq!(local.items().unwrap().len(), 3);
        drop(lock);
        assert_eq!(
            local
                .prune(&all, SystemTime::UNIX_EPOCH, false)
                .await
                .unwrap()
                .len(),
            3
        );
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_found() {
        let state = filled();
        let local = local(state.path());
        assert_eq!(local.verify().unwrap(), []);
        let (_, blobs) = local.blobs().unwrap().unwrap();
        fs::write(&blobs[0].path, "?".repeat(blobs[0].size as usize)).unwrap();
        assert_eq!(local.verify().unwrap().len(), 1);
    }
}
