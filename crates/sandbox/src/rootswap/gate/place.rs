//! Where the entry lies that a path names.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::caller::Caller;
use super::calls::Operand;

/// A path in two: the directory, and the name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What a relative directory starts at, as this process can reach it.
    base: PathBuf,
    directory: PathBuf,
    pub(super) name: OsString,
    /// Whether the path ended with a slash, which asks for a directory.
    pub(super) slash: bool,
}

impl Place {
    /// The place that a call means. None for paths that cannot name an entry, which the kernel answers better.
    pub(super) fn read(caller: Caller, operand: Operand) -> Option<Self> {
        Self::of(
            &caller.path(operand.address)?,
            &caller.directory(operand.at),
        )
    }

    fn of(path: &Path, start: &Path) -> Option<Self> {
        let bytes = path.as_os_str().as_bytes();
        let length = bytes.iter().rposition(|byte| *byte != b'/')? + 1;
        let (slash, bytes) = (length < bytes.len(), &bytes[..length]);
        let cut = bytes.iter().rposition(|byte| *byte == b'/');
        let (directory, name) = match cut {
            Some(cut) => bytes.split_at(cut + 1),
            None => (&b"."[..], bytes),
        };
        if matches!(name, b"." | b"..") {
            return None;
        }
        let directory = PathBuf::from(OsStr::from_bytes(directory));
        Some(Self {
            base: if directory.is_absolute() {
                PathBuf::from("/")
            } else {
                start.to_owned()
            },
            directory,
            name: OsStr::from_bytes(name).to_owned(),
            slash,
        })
    }

    /// Device and inode of the directory, as quickly as they can be had.
    pub(super) fn inode(&self, caller: Caller) -> Option<(u64, u64)> {
        if self.is_direct() {
            return caller.inode_at(&self.base);
        }
        caller.inode_at(&self.base.join(&self.directory))
    }

    /// Whether the path is a name alone.
    pub(super) fn is_direct(&self) -> bool {
        self.directory == Path::new(".")
    }

    /// Opens the directory as the process whose rights this one has, whatever the path is in the meantime.
    ///
    /// # Errors
    ///
    /// `ELOOP` for a way through `/proc/<pid>`, which is another one for each process.
    pub(super) fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let none = Mode::empty();
        let base = rustix::fs::open(&self.base, flags, none)?;
        let no_magic = ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&base, &self.directory, flags, none, no_magic) {
            // A runtime that does not know the call; such a way ends in this process's own directories then.
            Err(Errno::NOSYS | Errno::PERM) => {
                rustix::fs::openat(&base, &self.directory, flags, none)
            }
            result => result,
        }
    }
}

/// The path of an open directory.
pub(super) fn path_of(directory: &OwnedFd) -> Result<PathBuf, Errno> {
    use std::os::fd::AsRawFd as _;
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let path = rustix::fs::readlinkat(CWD, link, Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(path.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_and_a_name() {
        let start = Path::new("/proc/7/cwd");
        for (path, expected) in [
            ("/a", Some(("/", "/", "a", false))),
            ("//a//", Some(("/", "//", "a", true))),
            ("/a/b", Some(("/", "/a/", "b", false))),
            ("a", Some(("/proc/7/cwd", ".", "a", false))),
            ("a/b/", Some(("/proc/7/cwd", "a/", "b", true))),
            ("../b", Some(("/proc/7/cwd", "../", "b", false))),
            ("", None),
            ("/", None),
            ("a/..", None),
            ("./", None),
        ] {
            let place = Place::of(Path::new(path), start);
            let expected = expected.map(|(base, directory, name, slash)| Place {
                base: base.into(),
                directory: directory.into(),
                name: name.into(),
                slash,
            });
            assert_eq!(place, expected, "{path:?}");
        }
    }

    #[test]
    fn an_open_directory_has_its_path_and_a_way_through_proc_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let place = Place::of(&real.join("name"), Path::new("/")).unwrap();
        assert_eq!(path_of(&place.open().unwrap()).unwrap(), real);
        let own = Place::of(Path::new("/proc/self/cwd/x"), Path::new("/")).unwrap();
        assert_eq!(own.open().unwrap_err(), Errno::LOOP);
    }
}
