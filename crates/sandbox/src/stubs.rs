//! Mount points that a root lacks: made for a run, gone after it.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::directory;
use crate::error::{At as _, Fault, fault};

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StubKind {
    Directory,
    File,
}

/// The mount points made in one or more roots, in order.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    made: Vec<Stub>,
}

#[derive(Debug)]
struct Stub {
    parent: OwnedFd,
    name: OsString,
    inode: (u64, u64),
    directory: bool,
    /// Times of the parent before and after the stub was made in it.
    before: Times,
    after: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    accessed: (i64, i64),
    modified: (i64, i64),
}

impl Stubs {
    /// Makes sure that `path`, relative to `root` and without links, exists. What is missing is made
    /// and remembered. An existing file or directory is just covered, whatever it is.
    pub(crate) fn ensure(
        &mut self,
        root: &OwnedFd,
        path: &Path,
        kind: StubKind,
    ) -> Result<(), Fault> {
        let mut parent = root.try_clone().at("open", path)?;
        let mut names = path.components().peekable();
        while let Some(component) = names.next() {
            let Component::Normal(name) = component else {
                return Err(fault("make the mount point", path, libc::EINVAL));
            };
            let last = names.peek().is_none();
            let wanted = if last { kind } else { StubKind::Directory };
            if !exists(&parent, name).at("look at the mount point", path)? {
                let stub = Stub::make(&parent, name, wanted).at("make the mount point", path)?;
                self.made.push(stub);
            }
            if !last {
                parent = directory::open_child(&parent, name).at("open the mount point", path)?;
            }
        }
        Ok(())
    }

    /// Removes the stubs that are as they were made, and puts their parents' times back.
    ///
    /// What the command put into a stub directory, or in its place, stays.
    pub(crate) fn remove(self) -> Result<(), Fault> {
        let mut first_error = None;
        for stub in self.made.into_iter().rev() {
            if let Err(errno) = stub.remove() {
                first_error.get_or_insert_with(|| {
                    fault("remove the mount point", &stub.name, errno.raw_os_error())
                });
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

impl Stub {
    fn make(parent: &OwnedFd, name: &OsStr, kind: StubKind) -> Result<Self, Errno> {
        let before = Times::of(&rustix::fs::fstat(parent)?);
        make(parent, name, kind)?;
        let made = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Self {
            parent: rustix::io::fcntl_dupfd_cloexec(parent, 3)?,
            name: name.to_owned(),
            inode: (made.st_dev, made.st_ino),
            directory: kind == StubKind::Directory,
            before,
            after: Times::of(&rustix::fs::fstat(parent)?),
        })
    }

    fn remove(&self) -> Result<(), Errno> {
        let Ok(found) = rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)
        else {
            return Ok(());
        };
        let used = !self.directory && found.st_size != 0;
        // The number of a removed inode may be given to something new.
        let same =
            (found.st_dev, found.st_ino) == self.inode && is_directory(&found) == self.directory;
        if !same || used {
            return Ok(());
        }
        let now = Times::of(&rustix::fs::fstat(&self.parent)?);
        let flags = if self.directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match rustix::fs::unlinkat(&self.parent, &self.name, flags) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::BUSY) => return Ok(()),
            result => result?,
        }
        // The command's own changes to the parent keep their time; ours leave none.
        let kept = if now.modified == self.after.modified {
            self.before
        } else {
            now
        };
        rustix::fs::futimens(&self.parent, &kept.timestamps())
    }
}

/// Makes an empty directory or file, world-readable.
fn make(parent: &OwnedFd, name: &OsStr, kind: StubKind) -> Result<(), Errno> {
    match kind {
        StubKind::Directory => rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        StubKind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    }
}

fn exists(parent: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes sure that the directory `path` exists, and leaves it there.
pub(crate) fn keep_directory(root: &OwnedFd, path: &Path) -> Result<(), Fault> {
    Stubs::default().ensure(root, path, StubKind::Directory)
}

/// Whether the entry is a directory.
pub(crate) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Times {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            accessed: (
                stat.st_atime,
                i64::try_from(stat.st_atime_nsec).unwrap_or(0),
            ),
            modified: (
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
        }
    }

    /// Whether nothing was made, removed or renamed between the two.
    pub(crate) fn same_content(self, other: Self) -> bool {
        self.modified == other.modified
    }

    pub(crate) fn timestamps(self) -> Timestamps {
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        Timestamps {
            last_access: time(self.accessed),
            last_modification: time(self.modified),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn old(path: &Path) {
        let time = Timespec {
            tv_sec: 1000,
            tv_nsec: 5,
        };
        let handle = directory::open(path).unwrap();
        rustix::fs::futimens(
            &handle,
            &Timestamps {
                last_access: time,
                last_modification: time,
            },
        )
        .unwrap();
    }

    #[test]
    fn stubs_vanish_with_all_their_parents_and_leave_no_time() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        old(&root.path().join("etc"));
        old(root.path());
        let handle = directory::open(root.path()).unwrap();
        let mut stubs = Stubs::default();
        stubs
            .ensure(&handle, Path::new("a/b/c"), StubKind::Directory)
            .unwrap();
        stubs
            .ensure(&handle, Path::new("a/b/f"), StubKind::File)
            .unwrap();
        stubs
            .ensure(&handle, Path::new("etc/hosts"), StubKind::File)
            .unwrap();
        assert!(root.path().join("a/b/c").is_dir() && root.path().join("etc/hosts").is_file());
        stubs.remove().unwrap();
        let left: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["etc"]);
        for path in [root.path().to_owned(), root.path().join("etc")] {
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(
                (metadata.mtime(), metadata.mtime_nsec()),
                (1000, 5),
                "{path:?}"
            );
        }
    }

    #[test]
    fn what_the_command_left_stays() {
        let root = tempfile::tempdir().unwrap();
        let handle = directory::open(root.path()).unwrap();
        let mut stubs = Stubs::default();
        stubs
            .ensure(&handle, Path::new("sl/c"), StubKind::Directory)
            .unwrap();
        stubs
            .ensure(&handle, Path::new("hosts"), StubKind::File)
            .unwrap();
        stubs
            .ensure(&handle, Path::new("swapped"), StubKind::Directory)
            .unwrap();
        fs::write(root.path().join("sl/f"), "").unwrap();
        fs::write(root.path().join("hosts"), "x").unwrap();
        fs::remove_dir(root.path().join("swapped")).unwrap();
        fs::write(root.path().join("swapped"), "").unwrap();
        stubs.remove().unwrap();
        assert!(!root.path().join("sl/c").exists());
        for path in ["sl/f", "hosts", "swapped"] {
            assert!(root.path().join(path).exists(), "{path}");
        }
    }
}
