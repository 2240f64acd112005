//! One open directory, and what can be done to a single name inside it.
//!
//! Every name given here is one path component. The kernel therefore never
//! resolves more than that component, and none of these calls follows it when
//! it is a symlink.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::stat::{FchmodatFlags, fchmodat};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, Statx, StatxFlags, Timespec, Timestamps, Uid,
};
use yadokari_tree::Timestamp;

/// An open directory; some are `O_PATH` handles, which cannot be listed.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// Wraps a descriptor that is known to be a directory.
    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Opens a directory by a caller's path, links followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a child directory as a place to work in; needs no read permission.
    pub(crate) fn child(&self, name: &[u8]) -> io::Result<Self> {
        self.open_child(name, OFlags::PATH)
    }

    /// Opens a child directory so that it can be listed.
    pub(crate) fn listable_child(&self, name: &[u8]) -> io::Result<Self> {
        self.open_child(name, OFlags::RDONLY)
    }

    fn open_child(&self, name: &[u8], access: OFlags) -> io::Result<Self> {
        let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Opens a second handle on the same directory, good for listing it.
    pub(crate) fn listable(&self) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(fs::openat(&self.0, c".", flags, Mode::empty())?))
    }

    /// Opens a file for reading; a fifo does not block and a link is refused.
    pub(crate) fn read(&self, name: &[u8]) -> io::Result<File> {
        Ok(fs::openat(&self.0, name, READ, Mode::empty())?.into())
    }

    /// Creates a new file for writing, private until its mode is set.
    pub(crate) fn create(&self, name: &[u8]) -> io::Result<File> {
        self.create_as(name, 0o600)
    }

    /// Creates a new file for writing with the permission bits of `mode`, as
    /// far as this process gives any away.
    pub(crate) fn create_as(&self, name: &[u8], mode: u16) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(u32::from(mode & 0o777));
        Ok(fs::openat(&self.0, name, flags, mode)?.into())
    }

    /// Reads everything `statx` knows that a snapshot compares.
    pub(crate) fn stat(&self, name: &[u8]) -> io::Result<Statx> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(fs::statx(&self.0, name, flags, STAT)?)
    }

    /// [`Dir::stat`] of the directory itself.
    pub(crate) fn stat_self(&self) -> io::Result<Statx> {
        Ok(fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, STAT)?)
    }

    /// Makes a directory only its owner can enter; the real mode comes later.
    pub(crate) fn mkdir(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::mkdirat(&self.0, name, Mode::RWXU)?)
    }

    /// Makes a symlink with exactly this text.
    pub(crate) fn symlink(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(target, &self.0, name)?)
    }

    /// Makes a device node or fifo.
    pub(crate) fn mknod(&self, name: &[u8], kind: FileType, device: u64) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(fs::mknodat(&self.0, name, kind, mode, device)?)
    }

    /// Makes `name` another name of `source_name` in `source`.
    pub(crate) fn link(&self, name: &[u8], source: &Self, source_name: &[u8]) -> io::Result<()> {
        Ok(fs::linkat(
            &source.0,
            source_name,
            &self.0,
            name,
            AtFlags::empty(),
        )?)
    }

    /// Moves `name` to `new_name` in `to`, never over something that is there.
    pub(crate) fn rename(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        let flags = fs::RenameFlags::NOREPLACE;
        Ok(fs::renameat_with(&self.0, name, &to.0, new_name, flags)?)
    }

    /// Moves `name`, no directory, to `new_name` in `to`, in place of what is
    /// there unless that is a directory.
    pub(crate) fn rename_over(&self, name: &[u8], to: &Self, new_name: &[u8]) -> io::Result<()> {
        Ok(fs::renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Removes a name that is not a directory.
    pub(crate) fn unlink(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub(crate) fn rmdir(&self, name: &[u8]) -> io::Result<()> {
        Ok(fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Reads a symlink's text.
    pub(crate) fn read_link(&self, name: &[u8]) -> io::Result<Box<[u8]>> {
        let target = fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(target.into_bytes().into_boxed_slice())
    }

    /// Gives `name` to an owner, a symlink itself included.
    pub(crate) fn chown(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(fs::chownat(&self.0, name, Some(uid), Some(gid), flags)?)
    }

    /// Sets the permission bits of a name that is not a symlink.
    pub(crate) fn chmod(&self, name: &[u8], mode: u16) -> io::Result<()> {
        let bits = nix::sys::stat::Mode::from_bits_truncate(u32::from(mode));
        let flags = FchmodatFlags::NoFollowSymlink;
        match fchmodat(&self.0, name, bits, flags) {
            // Without /proc and on kernels before fchmodat2 there is no call
            // that refuses links, so the type is looked at first.
            Err(nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => self.chmod_checked(name, mode),
            other => Ok(other?),
        }
    }

    fn chmod_checked(&self, name: &[u8], mode: u16) -> io::Result<()> {
        if kind_of(&self.stat(name)?) == FileType::Symlink {
            return Err(rustix::io::Errno::LOOP.into());
        }
        let mode = Mode::from_raw_mode(u32::from(mode));
        Ok(fs::chmodat(&self.0, name, mode, AtFlags::empty())?)
    }

    /// Gives this directory's owner every right on it.
    pub(crate) fn unlock(&self) -> io::Result<()> {
        match fs::fchmod(&self.0, Mode::RWXU) {
            // An O_PATH handle has no mode to set; its link in /proc has.
            Err(rustix::io::Errno::BADF) => {
                let link = format!("/proc/self/fd/{}", self.0.as_raw_fd());
                fs::chmod(link, Mode::RWXU)
                    .or_else(|_| fs::chmodat(&self.0, c".", Mode::RWXU, AtFlags::empty()))?;
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// Sets a modification time, leaving the access time alone.
    pub(crate) fn set_mtime(&self, name: &[u8], mtime: Timestamp) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(fs::utimensat(&self.0, name, &times(mtime), flags)?)
    }

    /// The path of a name for calls that take no directory handle; the kernel
    /// resolves the part before the name through this very handle.
    pub(crate) fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.0.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        path
    }
}

/// The type bits of a `statx` answer.
pub(crate) fn kind_of(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// The pair `utimensat` wants: access time untouched, modification time given.
pub(crate) fn times(mtime: Timestamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds,
            tv_nsec: mtime.nanos.into(),
        },
    }
}

pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const STAT: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::MNT_ID);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_neither_opened_nor_chmodded() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.create(b"file").unwrap();
        dir.symlink(b"link", b"file").unwrap();
        assert!(dir.read(b"link").is_err());
        assert!(dir.child(b"link").is_err());
        assert!(dir.chmod(b"link", 0o777).is_err());
        assert_eq!(dir.stat(b"file").unwrap().stx_mode & 0o777, 0o600);
    }
}
