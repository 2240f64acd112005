//! Makes, renames and removes entries of guarded directories for a command, with its rights.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::guarded::Guarded;
use super::identity::Identity;
use super::notify::Answer;
use super::pool::Pool;

/// An entry, in a guarded directory or in another that is not hidden.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) parent: OwnedFd,
    pub(super) name: OsString,
    pub(super) guard: Option<&'a Guarded>,
    /// Whether it was named as a directory.
    pub(super) slash: bool,
}

impl Entry<'_> {
    /// Whether it must stay what it is.
    fn is_kept(&self) -> bool {
        self.guard.is_some_and(|guard| guard.keeps(&self.name))
    }

    fn is_hidden(&self) -> bool {
        self.guard.is_some_and(|guard| guard.hides(&self.name))
    }

    fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// Does what commands ask for.
pub(super) struct Hand<'a> {
    pub(super) pool: &'a mut Pool,
    pub(super) caller: &'a Identity,
    pub(super) own: &'a Identity,
}

impl Hand<'_> {
    /// Does something with the rights of the command, so that the answer is the kernel's own.
    fn as_caller<T>(&self, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let _rights = self.caller.assume(self.own)?;
        act()
    }

    pub(super) fn make_directory(&mut self, entry: &Entry<'_>, mode: u32) -> Answer {
        let mode = Mode::from_raw_mode(mode);
        let made = self.as_caller(|| rustix::fs::mkdirat(&entry.parent, &entry.name, mode));
        self.made(entry, made)
    }

    pub(super) fn make_node(&mut self, entry: &Entry<'_>, mode: u32, device: u64) -> Answer {
        let kind = match FileType::from_raw_mode(mode) {
            FileType::Unknown => FileType::RegularFile,
            kind => kind,
        };
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let made =
            self.as_caller(|| rustix::fs::mknodat(&entry.parent, &entry.name, kind, mode, device));
        self.made(entry, made)
    }

    pub(super) fn make_symlink(&mut self, target: &Path, entry: &Entry<'_>) -> Answer {
        Answer::of(self.as_caller(|| rustix::fs::symlinkat(target, &entry.parent, &entry.name)))
    }

    fn made(&mut self, entry: &Entry<'_>, made: Result<(), Errno>) -> Answer {
        if made.is_ok() {
            self.pool.stand_in(&entry.parent, &entry.name);
        }
        Answer::of(made)
    }

    /// Opens a file that is made if it is not there.
    pub(super) fn open(&mut self, entry: &Entry<'_>, flags: OFlags, mode: u32) -> Answer {
        let exclusive = flags | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let made =
            self.as_caller(|| rustix::fs::openat(&entry.parent, &entry.name, exclusive, mode));
        match made {
            Ok(made) => {
                let file =
                    self.pool
                        .stand_in_opened(&entry.parent, &entry.name, opening_only(flags));
                descriptor(file.unwrap_or(made), flags)
            }
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => self.open_existing(entry, flags),
            Err(errno) => Answer::Failed(errno),
        }
    }

    /// The kernel opens what has a rule. What has none was made when nothing was ready to stand in for it.
    fn open_existing(&self, entry: &Entry<'_>, flags: OFlags) -> Answer {
        let plain = entry.stat().is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && !self.pool.has_rule(&stat)
        });
        if !plain || entry.is_hidden() {
            return Answer::Continue;
        }
        let flags = opening_only(flags) | (flags & OFlags::TRUNC);
        let opened =
            self.as_caller(|| rustix::fs::openat(&entry.parent, &entry.name, flags, Mode::empty()));
        opened.map_or_else(Answer::Failed, |file| descriptor(file, flags))
    }

    pub(super) fn link(&mut self, from: &Entry<'_>, to: &Entry<'_>) -> Answer {
        if from.is_hidden() {
            return Answer::Failed(Errno::ACCESS);
        }
        Answer::of(self.as_caller(|| {
            rustix::fs::linkat(
                &from.parent,
                &from.name,
                &to.parent,
                &to.name,
                AtFlags::empty(),
            )
        }))
    }

    pub(super) fn rename(
        &mut self,
        from: &Entry<'_>,
        to: &Entry<'_>,
        flags: RenameFlags,
    ) -> Answer {
        if from.is_kept() || to.is_kept() {
            return Answer::Failed(Errno::BUSY);
        }
        let back = flags.contains(RenameFlags::EXCHANGE);
        if !self.may_move(from, to) || (back && !self.may_move(to, from)) {
            return Answer::Failed(Errno::XDEV);
        }
        if (from.slash || to.slash) && !from.stat().is_ok_and(|stat| is_directory(&stat)) {
            return Answer::Failed(Errno::NOTDIR);
        }
        let replaces = flags.is_empty() && !same(from, to);
        let kept = to.guard.filter(|_| replaces);
        let kept = kept.and_then(|_| self.pool.keep(&to.parent, &to.name));
        let renamed = self.as_caller(|| rename(from, to, flags));
        self.pool.retire(kept, renamed.is_ok());
        Answer::of(renamed)
    }

    /// Whether the command can use what it moves in its new place. What comes from below a directory has no rule.
    fn may_move(&self, from: &Entry<'_>, to: &Entry<'_>) -> bool {
        to.guard.is_none()
            || from.guard.is_some()
            || from.stat().map_or(true, |stat| self.pool.has_rule(&stat))
    }

    pub(super) fn remove(&mut self, entry: &Entry<'_>) -> Answer {
        if entry.is_kept() {
            return Answer::Failed(Errno::BUSY);
        }
        let kept = self.pool.keep(&entry.parent, &entry.name);
        let removed = self.as_caller(|| unlink(entry, AtFlags::empty()));
        self.pool.retire(kept, removed.is_ok());
        Answer::of(removed)
    }

    pub(super) fn remove_directory(&mut self, entry: &Entry<'_>) -> Answer {
        if entry.is_kept() {
            return Answer::Failed(Errno::BUSY);
        }
        let (parent, name) = (&entry.parent, &entry.name);
        let kept = self.pool.keep_directory(parent, name);
        let removed = self.as_caller(|| unlink(entry, AtFlags::REMOVEDIR));
        self.pool
            .retire_directory(kept, removed.is_ok(), parent, name);
        Answer::of(removed)
    }
}

fn unlink(entry: &Entry<'_>, flags: AtFlags) -> Result<(), Errno> {
    rustix::fs::unlinkat(&entry.parent, &entry.name, flags)
}

/// The older call where it will do: runtimes and filesystems may not know the newer one.
fn rename(from: &Entry<'_>, to: &Entry<'_>, flags: RenameFlags) -> Result<(), Errno> {
    if flags.is_empty() {
        return rustix::fs::renameat(&from.parent, &from.name, &to.parent, &to.name);
    }
    rustix::fs::renameat_with(&from.parent, &from.name, &to.parent, &to.name, flags)
}

fn same(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    let inode = |entry: &Entry<'_>| entry.stat().map(|stat| (stat.st_dev, stat.st_ino)).ok();
    inode(one).is_some_and(|found| inode(other) == Some(found))
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// The flags that count once a file is there.
fn opening_only(flags: OFlags) -> OFlags {
    let making = OFlags::CREATE | OFlags::EXCL | OFlags::TRUNC;
    flags.difference(making) | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn descriptor(file: OwnedFd, flags: OFlags) -> Answer {
    Answer::Descriptor {
        file,
        close_on_exec: flags.contains(OFlags::CLOEXEC),
    }
}
