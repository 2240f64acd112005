//! The state directory: what a build keeps on disk while it runs, and what killed builds left there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::BuildError;
use crate::trace::work_span;

/// A directory for one build, removed at its end.
///
/// It is locked while the build lives, so that the next one can tell it from what a killed build left.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: TempDir,
    _lock: File,
}

/// A directory for the roots of one image, removed with them on all cores.
#[derive(Debug)]
pub(crate) struct Roots {
    path: PathBuf,
    threads: usize,
}

impl Roots {
    /// Makes one in the directory of a build.
    pub(crate) fn new(scratch: &Scratch, threads: usize) -> Result<Self, BuildError> {
        let made = TempDir::with_prefix_in("roots-", scratch.path());
        let made = made.map_err(|source| BuildError::disk(scratch.path(), source))?;
        Ok(Self {
            path: made.keep(),
            threads,
        })
    }

    /// Takes over a directory of a test.
    #[cfg(test)]
    pub(crate) fn in_place_of(directory: TempDir) -> Self {
        Self {
            path: directory.keep(),
            threads: 1,
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Roots {
    fn drop(&mut self) {
        let _span = work_span!("remove", "roots").entered();
        if let Err(error) = yadokari_rootfs::remove_tree(&self.path, self.threads) {
            // The directory of the build goes later, with what is left here.
            tracing::debug!(%error, "removing the roots");
        }
    }
}

/// What the names of build directories start with.
const PREFIX: &str = "build-";

impl Scratch {
    /// Makes a directory in the state directory, after removing those of builds that were killed.
    ///
    /// Builds that start at the same time take turns, so that none takes another's new directory for an
    /// abandoned one.
    pub(crate) fn new(state: &Path) -> Result<Self, BuildError> {
        let failed = |source| BuildError::disk(state, source);
        fs::create_dir_all(state).map_err(failed)?;
        let turn = File::create(state.join("lock")).map_err(failed)?;
        turn.lock().map_err(failed)?;
        sweep(state).map_err(failed)?;
        let directory = TempDir::with_prefix_in(PREFIX, state).map_err(failed)?;
        let lock = File::open(directory.path()).map_err(failed)?;
        lock.lock_shared().map_err(failed)?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directories of builds that no longer live.
fn sweep(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            remove_if_abandoned(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &PathBuf) -> io::Result<()> {
    let lock = match File::open(path) {
        Ok(lock) => lock,
        // Its build ended in the meantime.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => match fs::remove_dir_all(path) {
            // Its build ended between the two steps and removed it itself.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_build_keeps_its_directory_and_a_dead_one_loses_it() {
        let state = TempDir::new().unwrap();
        let dead = state.path().join("build-dead");
        fs::create_dir_all(dead.join("stage-0")).unwrap();
        let living = Scratch::new(state.path()).unwrap();
        assert!(!dead.exists());
        let second = Scratch::new(state.path()).unwrap();
        assert!(living.path().exists() && second.path().exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
