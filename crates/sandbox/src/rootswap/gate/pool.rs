//! Files, directories and pipes that have their Landlock rule before there is a name for them.
//!
//! A rule is for an inode, and a domain takes no rule once it is entered. So what
//! the kernel has just made in a guarded directory is replaced by something of its
//! kind that is held ready. What the command removes is held ready again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use super::{fresh, reclaim};
use crate::directory;
use crate::error::{At as _, Fault};

/// What is held ready, and what has a rule.
#[derive(Debug)]
pub(crate) struct Pool {
    place: PathBuf,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    pipes: Vec<PathBuf>,
    /// Files that the command removed, still with what it left in them.
    retired: Vec<PathBuf>,
    /// Inodes from here, in use or not.
    own: BTreeSet<(u64, u64)>,
    /// Inodes that lay in guarded directories from the start and have a rule.
    others: BTreeSet<(u64, u64)>,
    made: usize,
    /// Whether something was made that the command cannot use.
    ran_dry: bool,
}

/// What a new entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Pipe,
}

impl Pool {
    /// Sees to it that enough is held ready in the directory `place`. `open` has rules of its own.
    pub(super) fn prepare(place: PathBuf, open: &[PathBuf]) -> Result<Self, Fault> {
        fs::create_dir_all(&place).at("make", &place)?;
        let others = open.iter().filter_map(|path| rustix::fs::lstat(path).ok());
        let mut pool = Self {
            place,
            directories: Vec::new(),
            files: Vec::new(),
            pipes: Vec::new(),
            retired: Vec::new(),
            own: BTreeSet::new(),
            others: others.map(|stat| inode(&stat)).collect(),
            made: 0,
            ran_dry: false,
        };
        pool.take_up()?;
        for (kind, count) in [
            (Kind::Directory, DIRECTORIES),
            (Kind::File, FILES),
            (Kind::Pipe, PIPES),
        ] {
            while pool.of_kind(kind).len() < count {
                pool.make(kind)?;
            }
        }
        Ok(pool)
    }

    /// Takes up what an earlier command did not use, and removes what is not as new.
    fn take_up(&mut self) -> Result<(), Fault> {
        let place = self.place.clone();
        for entry in fs::read_dir(&place).at("list", &place)? {
            let path = entry.at("list", &place)?.path();
            let Some((kind, inode)) = fresh::as_new(&path) else {
                fresh::remove(&path).at("remove", &path)?;
                continue;
            };
            let number = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            self.made = self.made.max(number.unwrap_or(0));
            self.own.insert(inode);
            self.of_kind(kind).push(path);
        }
        Ok(())
    }

    /// Removes what the command removed and may have open yet.
    pub(super) fn close(&mut self) {
        for path in std::mem::take(&mut self.retired) {
            // What cannot be removed now is not as new, and goes before the next command.
            let _ = fs::remove_file(path);
        }
    }

    fn make(&mut self, kind: Kind) -> Result<(), Fault> {
        let path = self.fresh_path();
        let only_owner = Mode::RUSR | Mode::WUSR;
        match kind {
            Kind::Directory => rustix::fs::mkdir(&path, Mode::RWXU),
            Kind::File => rustix::fs::mknodat(CWD, &path, FileType::RegularFile, only_owner, 0),
            Kind::Pipe => rustix::fs::mknodat(CWD, &path, FileType::Fifo, only_owner, 0),
        }
        .at("make", &path)?;
        let stat = rustix::fs::lstat(&path).at("look at", &path)?;
        self.own.insert(inode(&stat));
        self.of_kind(kind).push(path);
        Ok(())
    }

    fn fresh_path(&mut self) -> PathBuf {
        self.made += 1;
        self.place.join(self.made.to_string())
    }

    fn of_kind(&mut self, kind: Kind) -> &mut Vec<PathBuf> {
        match kind {
            Kind::Directory => &mut self.directories,
            Kind::File => &mut self.files,
            Kind::Pipe => &mut self.pipes,
        }
    }

    /// Everything held ready, for rules.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories
            .iter()
            .chain(&self.files)
            .chain(&self.pipes)
    }

    /// Whether the command made something that it could not use.
    pub(super) fn ran_dry(&self) -> bool {
        self.ran_dry
    }

    /// Whether a command can use this inode under any name in a guarded directory.
    pub(super) fn has_rule(&self, stat: &Stat) -> bool {
        let inode = inode(stat);
        // A link is followed, and a socket connected to, without one.
        let needs_none = matches!(
            FileType::from_raw_mode(stat.st_mode),
            FileType::Symlink | FileType::Socket
        );
        needs_none || self.own.contains(&inode) || self.others.contains(&inode)
    }

    /// Puts something of its kind that is held ready in the place of the entry `name`, which was just made.
    pub(super) fn stand_in(&mut self, parent: impl AsFd, name: &OsStr) {
        let Ok(stat) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else {
            return;
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Fifo => Kind::Pipe,
            // A link needs no rule; nobody knows which devices to hold ready.
            _ => return,
        };
        if let Some(ready) = self.take(kind) {
            self.place_one(&ready, &stat, &parent, name);
        }
    }

    /// As [`Self::stand_in`], for a file that the caller has opened with these flags; gives it opened alike.
    pub(super) fn stand_in_opened(
        &mut self,
        parent: impl AsFd,
        name: &OsStr,
        flags: OFlags,
    ) -> Option<OwnedFd> {
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let ready = self.take(Kind::File)?;
        // Before it has a mode that its maker chose, which does not count for this descriptor.
        let opened = rustix::fs::open(&ready, flags, Mode::empty()).ok()?;
        self.place_one(&ready, &stat, &parent, name)
            .then_some(opened)
    }

    fn take(&mut self, kind: Kind) -> Option<PathBuf> {
        if kind == Kind::File && self.files.is_empty() {
            self.reclaim();
        }
        let taken = self.of_kind(kind).pop();
        self.ran_dry |= taken.is_none();
        taken
    }

    /// Gives `ready` the attributes of the entry `name`, and its place.
    fn place_one(&mut self, ready: &Path, stat: &Stat, parent: impl AsFd, name: &OsStr) -> bool {
        let placed = dress(ready, stat, &parent, name)
            .and_then(|()| rustix::fs::renameat(CWD, ready, &parent, name));
        // Another filesystem, or one that is full.
        self.ran_dry |= placed.is_err();
        placed.is_ok()
    }

    /// Keeps the file `name` from vanishing with its name, so that it can be held ready again. To be called before
    /// it is removed or replaced; what comes is for [`Self::retire`] then.
    pub(super) fn keep(&mut self, parent: impl AsFd, name: &OsStr) -> Option<PathBuf> {
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !file || stat.st_nlink != 1 || !self.own.contains(&inode(&stat)) {
            return None;
        }
        let kept = self.fresh_path();
        rustix::fs::linkat(&parent, name, CWD, &kept, AtFlags::empty()).ok()?;
        Some(kept)
    }

    /// Takes what [`Self::keep`] kept, if the name is gone now.
    pub(super) fn retire(&mut self, kept: Option<PathBuf>, gone: bool) {
        let Some(path) = kept else { return };
        if !gone {
            let _ = fs::remove_file(&path);
            return;
        }
        let large = fs::metadata(&path).is_ok_and(|file| file.len() > LARGE);
        self.retired.push(path);
        if large {
            // Whoever removes something large wants the room.
            self.reclaim();
            self.forget_large();
        }
    }

    /// Empties what the command removed and nobody has open any more.
    fn reclaim(&mut self) {
        let (free, used) = reclaim::unused(std::mem::take(&mut self.retired));
        self.retired = used;
        self.files.extend(free);
    }

    /// Lets go of removed files that are large and still open. Their room is free when they are closed.
    fn forget_large(&mut self) {
        self.retired.retain(|path| {
            let large = fs::metadata(path).is_ok_and(|file| file.len() > LARGE);
            if large {
                let _ = fs::remove_file(path);
            }
            !large
        });
    }

    /// Replaces the empty directory `name` by another one alike, so that it can be held ready again when that is removed.
    ///
    /// Gives its place; [`Self::retire_directory`] takes it or gives it back.
    pub(super) fn keep_directory(&mut self, parent: impl AsFd, name: &OsStr) -> Option<PathBuf> {
        let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let victim = directory::open_child(&parent, name).ok()?;
        if !self.own.contains(&inode(&stat)) || !is_empty(&victim) {
            return None;
        }
        let kept = self.fresh_path();
        rustix::fs::mkdir(&kept, Mode::RWXU).ok()?;
        let exchanged =
            dress(&kept, &stat, &parent, name).and_then(|()| exchange(&kept, &parent, name));
        if exchanged.is_err() {
            let _ = fs::remove_dir(&kept);
            return None;
        }
        // Somebody who works in it may have been quicker.
        if !is_empty(&victim) {
            self.give_back(&kept, &parent, name);
            return None;
        }
        Some(kept)
    }

    /// Takes what [`Self::keep_directory`] kept, if the name is gone now, and else gives it back.
    pub(super) fn retire_directory(
        &mut self,
        kept: Option<PathBuf>,
        gone: bool,
        parent: impl AsFd,
        name: &OsStr,
    ) {
        let Some(path) = kept else { return };
        if !gone {
            self.give_back(&path, parent, name);
        } else if strip(&path).is_ok() {
            self.directories.push(path);
        }
    }

    fn give_back(&mut self, kept: &Path, parent: impl AsFd, name: &OsStr) {
        if exchange(kept, parent, name).is_ok() {
            let _ = fs::remove_dir(kept);
        }
    }
}

fn exchange(one: &Path, parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    rustix::fs::renameat_with(CWD, one, parent, name, RenameFlags::EXCHANGE)
}

/// Gives `ready` the owner, mode and attributes of the entry `name`.
fn dress(ready: &Path, stat: &Stat, parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    let now = rustix::fs::Timestamps {
        last_access: timespec(stat.st_atime, stat.st_atime_nsec),
        last_modification: timespec(stat.st_mtime, stat.st_mtime_nsec),
    };
    // The owner first, since changing it clears mode bits.
    rustix::fs::chown(
        ready,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    rustix::fs::chmod(ready, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    copy_default_acl(ready, parent, name)?;
    rustix::fs::utimensat(CWD, ready, &now, AtFlags::SYMLINK_NOFOLLOW)
}

fn timespec(tv_sec: i64, nanos: u64) -> rustix::fs::Timespec {
    rustix::fs::Timespec {
        tv_sec,
        tv_nsec: i64::try_from(nanos).unwrap_or(0),
    }
}

/// The lists of access rights that the directory around it gave the entry.
fn copy_default_acl(ready: &Path, parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(made) = rustix::fs::openat(parent, name, flags, Mode::empty()) else {
        return Ok(());
    };
    for list in ["system.posix_acl_access", "system.posix_acl_default"] {
        let mut value = vec![0; 4096];
        if let Ok(length) = rustix::fs::fgetxattr(&made, list, value.as_mut_slice()) {
            rustix::fs::setxattr(ready, list, &value[..length], XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// Takes the attributes of its last use from a directory.
fn strip(path: &Path) -> Result<(), Errno> {
    let handle = directory::open(path).map_err(|_| Errno::NOENT)?;
    if !is_empty(&handle) {
        return Err(Errno::NOTEMPTY);
    }
    reclaim::strip(&handle, Mode::RWXU)
}

pub(super) fn is_empty(directory: &OwnedFd) -> bool {
    directory::names(directory).is_ok_and(|names| names.is_empty())
}

pub(super) fn inode(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// How many of each are held ready. Few commands make more entries next to the root's own at one time.
const DIRECTORIES: usize = 128;
const FILES: usize = 256;
const PIPES: usize = 8;

/// Bytes. A removed file that is larger is emptied at once.
const LARGE: u64 = 64 << 10;
