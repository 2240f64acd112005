//! Device nodes made in the root's own `/dev` for the time of a run.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, makedev, mknodat};

use crate::devices::{LINKS, NODES};
use crate::error::{At as _, Fault, RunError};
use crate::runner::Note;
use crate::{directory, stubs};

/// What was made, and how the directory was before.
pub(super) struct Devices {
    dev: OwnedFd,
    made: Vec<&'static str>,
    shm: bool,
    missing: Vec<&'static str>,
    times: Timestamps,
}

impl Devices {
    /// Makes what `/dev` lacks. Where a node cannot be made, or not be opened, the command has none.
    pub(super) fn make(root: &Path, handle: &OwnedFd) -> Result<Self, RunError> {
        let path = directory::resolve(root, Path::new("/dev"))?;
        stubs::keep_directory(handle, &path)?;
        let dev = directory::open_beneath(handle, &path)?;
        let times = times(&dev)?;
        let mut devices = Self {
            dev,
            made: Vec::new(),
            shm: false,
            missing: Vec::new(),
            times,
        };
        for (name, major, minor) in NODES {
            devices.add_node(name, makedev(major, minor));
        }
        devices.add_links();
        devices.add_shm();
        Ok(devices)
    }

    fn add_node(&mut self, name: &'static str, device: u64) {
        if self.has(name) {
            return;
        }
        let mode = Mode::from_raw_mode(0o666);
        if mknodat(&self.dev, name, FileType::CharacterDevice, mode, device).is_err() {
            self.missing.push(name);
        } else if self.opens(name) {
            // The umask took something away; a command that cannot write there says so itself.
            let _ = rustix::fs::chmodat(&self.dev, name, mode, AtFlags::empty());
            self.made.push(name);
        } else {
            let _ = rustix::fs::unlinkat(&self.dev, name, AtFlags::empty());
            self.missing.push(name);
        }
    }

    /// A volume may be mounted so that nodes on it cannot be used. `/dev/tty` needs a terminal.
    fn opens(&self, name: &str) -> bool {
        use rustix::io::Errno;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.dev, name, flags, Mode::empty());
        !matches!(opened, Err(Errno::ACCESS | Errno::PERM))
    }

    fn add_links(&mut self) {
        for (name, target) in LINKS {
            if !self.has(name) && rustix::fs::symlinkat(target, &self.dev, name).is_ok() {
                self.made.push(name);
            }
        }
    }

    /// Shared memory is files in a directory; here the directory is a plain one.
    fn add_shm(&mut self) {
        let mode = Mode::from_raw_mode(0o1777);
        self.shm = !self.has("shm")
            && rustix::fs::mkdirat(&self.dev, "shm", mode).is_ok()
            && rustix::fs::chmodat(&self.dev, "shm", mode, AtFlags::empty()).is_ok();
    }

    fn has(&self, name: &str) -> bool {
        rustix::fs::statat(&self.dev, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// A note for every node that the command does without.
    pub(super) fn missing(&self) -> Vec<Note> {
        let note = |name: &&str| Note::NoDevice {
            path: format!("/dev/{name}"),
        };
        self.missing.iter().map(note).collect()
    }

    /// Removes what was made, as far as the command left it, and gives the directory its times back.
    pub(super) fn remove(self) -> Result<(), Fault> {
        for name in &self.made {
            // The command may have removed it.
            let _ = rustix::fs::unlinkat(&self.dev, *name, AtFlags::empty());
        }
        if self.shm {
            remove_below(&self.dev, "shm".as_ref()).at("empty", "/dev/shm")?;
        }
        rustix::fs::futimens(&self.dev, &self.times).at("set the times of", "/dev")
    }
}

/// Removes an entry with all that lies in it; links are not followed.
fn remove_below(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), rustix::io::Errno> {
    use rustix::io::Errno;
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let directory = directory::open_child(parent, name)?;
    for child in directory::names(&directory)? {
        remove_below(&directory, &child)?;
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

fn times(directory: &OwnedFd) -> Result<Timestamps, Fault> {
    let stat = rustix::fs::fstat(directory).at("look at", "/dev")?;
    let nanos = |value| i64::try_from(value).unwrap_or(0);
    Ok(Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: nanos(stat.st_atime_nsec),
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: nanos(stat.st_mtime_nsec),
        },
    })
}
