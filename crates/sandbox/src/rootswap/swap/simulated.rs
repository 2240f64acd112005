//! What other filesystems do and what a kill does, for tests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The behaviour of an overlay, and a point at which the swap is cut off.
#[derive(Debug, Default)]
pub(crate) struct Simulated {
    /// Changes that may still be done.
    allowed: Cell<Option<usize>>,
    lower: RefCell<BTreeSet<(PathBuf, u64)>>,
}

impl Simulated {
    /// Makes the change after `changes` more fail.
    pub(crate) fn stop_after(&self, changes: usize) {
        self.allowed.set(Some(changes));
    }

    /// Nothing fails any more.
    pub(crate) fn go_on(&self) {
        self.allowed.set(None);
    }

    /// The directory `path` and all below lie in a lower layer from now on; they refuse to be renamed.
    pub(crate) fn lower(&self, path: &Path) {
        let metadata = fs::symlink_metadata(path).unwrap();
        if !metadata.is_dir() {
            return;
        }
        self.lower
            .borrow_mut()
            .insert((path.to_owned(), metadata.ino()));
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            self.lower(&entry.path());
        }
    }

    /// Whether the kernel would refuse to rename `path`.
    pub(crate) fn refuses(&self, path: &Path) -> bool {
        let key = |metadata: fs::Metadata| (path.to_owned(), metadata.ino());
        fs::symlink_metadata(path)
            .is_ok_and(|metadata| self.lower.borrow().contains(&key(metadata)))
    }

    pub(crate) fn rename(&self, from: &Path) -> io::Result<()> {
        self.count_down()?;
        if self.refuses(from) {
            return Err(io::Error::from_raw_os_error(libc::EXDEV));
        }
        Ok(())
    }

    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.count_down()?;
        if fs::read_dir(path)?.next().is_none() {
            self.forget(path);
        }
        Ok(())
    }

    /// What is removed is no part of the lower layer any more; the number of its inode is given out again.
    pub(crate) fn forget(&self, path: &Path) {
        let mut lower = self.lower.borrow_mut();
        lower.retain(|(other, _)| !other.starts_with(path));
    }

    fn count_down(&self) -> io::Result<()> {
        match self.allowed.get() {
            Some(0) => Err(io::Error::from_raw_os_error(libc::EIO)),
            Some(left) => {
                self.allowed.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
