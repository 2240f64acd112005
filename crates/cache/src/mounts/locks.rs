//! Locks between the builds of one machine, and between the stages of one build.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::mounts::error::MountError;

/// Who else may hold a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Others that share it.
    Shared,
    /// Nobody.
    Exclusive,
}

/// A lock that is held until it is dropped, or until the process ends however it ends.
#[derive(Debug)]
pub struct MountLock {
    file: File,
    path: PathBuf,
}

impl MountLock {
    /// Takes the lock of a file, which is made with its directory; `None` if somebody else holds it.
    pub(crate) fn try_take(path: &Path, kind: LockKind) -> Result<Option<Self>, MountError> {
        let failed = |source| MountError::disk(path, source);
        loop {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            let file = File::options().create(true).append(true).open(path);
            let file = match file {
                // The directory was removed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file.map_err(failed)?,
            };
            if !try_lock(&file, kind).map_err(failed)? {
                return Ok(None);
            }
            if is_at(&file, path) {
                let path = path.to_owned();
                return Ok(Some(Self { file, path }));
            }
            // Whoever held it removed the directory; the lock of a file that is gone protects nothing.
        }
    }

    /// Lets others share the lock. `None`, and no lock, if somebody took it whole in between.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn share(self) -> Result<Option<Self>, MountError> {
        let shared = try_lock(&self.file, LockKind::Shared);
        let shared = shared.map_err(|source| MountError::disk(&self.path, source))?;
        Ok(shared.then_some(self))
    }
}

fn try_lock(file: &File, kind: LockKind) -> io::Result<bool> {
    let locked = match kind {
        LockKind::Shared => file.try_lock_shared(),
        LockKind::Exclusive => file.try_lock(),
    };
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a path still names the file that was opened.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(found)) => identity(opened) == identity(found),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_whole_or_shared_and_ends_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slot").join("lock");
        let take = |kind| MountLock::try_take(&path, kind).unwrap();
        let whole = take(LockKind::Exclusive).unwrap();
        assert!(take(LockKind::Exclusive).is_none());
        assert!(take(LockKind::Shared).is_none());
        let shared = whole.share().unwrap().unwrap();
        let other = take(LockKind::Shared).unwrap();
        assert!(take(LockKind::Exclusive).is_none());
        drop((shared, other));
        assert!(take(LockKind::Exclusive).is_some());
    }

    #[test]
    fn a_lock_whose_directory_is_gone_is_not_taken_for_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("slot").join("lock");
        let old = MountLock::try_take(&path, LockKind::Exclusive)
            .unwrap()
            .unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        let new = MountLock::try_take(&path, LockKind::Exclusive).unwrap();
        assert!(new.is_some());
        drop(old);
    }
}
