//! The directories that hold something hidden.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::{At as _, Fault};

/// A directory with something hidden in it, at some depth. No command can move, replace or remove it.
#[derive(Debug)]
pub(super) struct Guarded {
    path: PathBuf,
    handle: OwnedFd,
    inode: (u64, u64),
    /// Names that a command does not see.
    hidden: BTreeSet<OsString>,
    /// Names of directories that are guarded themselves.
    ways: BTreeSet<OsString>,
}

impl Guarded {
    pub(super) fn open(
        path: &Path,
        hidden: &[PathBuf],
        guarded: &[PathBuf],
    ) -> Result<Self, Fault> {
        let handle = directory::open(path)?;
        let stat = rustix::fs::fstat(&handle).at("look at", path)?;
        let names = |paths: &[PathBuf]| {
            let here = paths.iter().filter(|other| other.parent() == Some(path));
            here.filter_map(|other| other.file_name())
                .map(OsStr::to_owned)
                .collect()
        };
        Ok(Self {
            path: path.to_owned(),
            handle,
            inode: (stat.st_dev, stat.st_ino),
            hidden: names(hidden),
            ways: names(guarded),
        })
    }

    /// A new, unread stream of its entries.
    pub(super) fn listing(&self) -> Result<OwnedFd, Fault> {
        directory::open(&self.path)
    }

    /// Device and inode.
    pub(super) fn inode(&self) -> (u64, u64) {
        self.inode
    }

    /// Whether a command does not see this name.
    pub(super) fn hides(&self, name: &OsStr) -> bool {
        self.hidden.contains(name)
    }

    /// Whether the entry of this name must stay what it is.
    pub(super) fn keeps(&self, name: &OsStr) -> bool {
        self.hidden.contains(name) || self.ways.contains(name)
    }
}

impl AsFd for Guarded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Splits what lies in `/` into what the command may use and the directories that hold something hidden.
pub(crate) fn divide(root: &Path, hidden: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut open, mut guarded) = (Vec::new(), vec![root.to_owned()]);
    let mut next = 0;
    while let Some(directory) = guarded.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = directory.join(OsStr::from_bytes(entry.file_name().as_bytes()));
            if hidden.contains(&path) {
                continue;
            }
            if hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                guarded.push(path);
            } else {
                open.push(path);
            }
        }
    }
    open.sort();
    (open, guarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrange() -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        for path in ["bin", "state/x", "run/secrets/token", "run/lock", "builds"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let hidden = ["state", "run/secrets/token", "nosuch/x"].map(|path| root.path().join(path));
        (root, hidden.to_vec())
    }

    #[test]
    fn what_is_hidden_and_what_leads_there_is_not_open() {
        let (root, hidden) = arrange();
        let (open, guarded) = divide(root.path(), &hidden);
        assert_eq!(
            open,
            ["bin", "builds", "run/lock"].map(|path| root.path().join(path))
        );
        let expected = [root.path().to_owned()].into_iter();
        let expected = expected.chain(["run", "run/secrets"].map(|path| root.path().join(path)));
        assert_eq!(guarded, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_guarded_directory_hides_its_names_and_keeps_the_way_to_others() {
        let (root, hidden) = arrange();
        let (_, guarded) = divide(root.path(), &hidden);
        let top = Guarded::open(root.path(), &hidden, &guarded).unwrap();
        for (name, hides, keeps) in [
            ("state", true, true),
            ("run", false, true),
            ("bin", false, false),
            ("secrets", false, false),
        ] {
            let name = OsStr::new(name);
            assert_eq!(
                (top.hides(name), top.keeps(name)),
                (hides, keeps),
                "{name:?}"
            );
        }
    }
}
