//! The metadata of a directory or file that is lent to the other root.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::directory;
use crate::error::{At as _, Fault};

/// Mode, owner, times and extended attributes of a directory or file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    accessed: (i64, i64),
    modified: (i64, i64),
    xattrs: Vec<(CString, Vec<u8>)>,
}

impl Attributes {
    /// Reads those of the directory at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        Self::of(&directory::open(path)?, path)
    }

    /// Reads those of `handle`, which is `path`.
    pub(crate) fn of(handle: &OwnedFd, path: &Path) -> Result<Self, Fault> {
        let stat = rustix::fs::fstat(handle).at("look at", path)?;
        let nanos = |value| i64::try_from(value).unwrap_or(0);
        Ok(Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            accessed: (stat.st_atime, nanos(stat.st_atime_nsec)),
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            xattrs: read_xattrs(handle).at("read the attributes of", path)?,
        })
    }

    /// Gives them to the directory at `path`.
    pub(crate) fn apply(&self, path: &Path) -> Result<(), Fault> {
        self.apply_to(&directory::open(path)?, path)
    }

    /// Gives them to `handle`, which is `path`.
    pub(crate) fn apply_to(&self, handle: &OwnedFd, path: &Path) -> Result<(), Fault> {
        self.set(handle).at("set the attributes of", path)
    }

    /// Gives the mode alone to what is at `path`, which need not be open to anybody.
    pub(crate) fn apply_mode(&self, path: &Path) -> Result<(), Fault> {
        rustix::fs::chmod(path, Mode::from_raw_mode(self.mode)).at("set the mode of", path)
    }

    /// The permission bits.
    #[cfg(test)]
    pub(crate) fn mode(&self) -> u32 {
        self.mode
    }

    /// Whether `other` gives everybody the same access; times do not count.
    pub(crate) fn same_access(&self, other: &Self) -> bool {
        let access = |one: &Self| (one.mode, one.uid, one.gid);
        access(self) == access(other) && self.xattrs == other.xattrs
    }

    /// Whether `other` is the same but for the time of the last access.
    pub(crate) fn same_but_for_reading(&self, other: &Self) -> bool {
        self.same_access(other) && self.modified == other.modified
    }

    fn set(&self, handle: &OwnedFd) -> Result<(), Errno> {
        // The owner first, since changing it clears mode bits.
        rustix::fs::fchown(
            handle,
            Some(Uid::from_raw(self.uid)),
            Some(Gid::from_raw(self.gid)),
        )?;
        rustix::fs::fchmod(handle, Mode::from_raw_mode(self.mode))?;
        write_xattrs(handle, &self.xattrs)?;
        let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time(self.accessed),
            last_modification: time(self.modified),
        };
        rustix::fs::futimens(handle, &times)
    }
}

fn read_xattrs(handle: &OwnedFd) -> Result<Vec<(CString, Vec<u8>)>, Errno> {
    let mut found = Vec::new();
    for name in xattr_names(handle)? {
        let mut value = vec![0; 64 << 10];
        match rustix::fs::fgetxattr(handle, name.as_c_str(), value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                found.push((name, value));
            }
            // Names of other security modules may be listed and not readable.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS | Errno::NOTSUP) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    Ok(found)
}

fn xattr_names(handle: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut list = vec![0u8; 64 << 10];
    let length = match rustix::fs::flistxattr(handle, list.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error),
    };
    let names = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names
        .filter_map(|name| CString::new(name).ok())
        .filter(is_ours)
        .collect())
}

/// Labels of the runtime's security module belong to the place and not to the content.
fn is_ours(name: &CString) -> bool {
    !name.as_bytes().starts_with(b"security.selinux") && !name.as_bytes().starts_with(b"trusted.")
}

fn write_xattrs(handle: &OwnedFd, wanted: &[(CString, Vec<u8>)]) -> Result<(), Errno> {
    let present = read_xattrs(handle)?;
    for (name, _) in present
        .iter()
        .filter(|(name, _)| wanted.iter().all(|(other, _)| other != name))
    {
        rustix::fs::fremovexattr(handle, name.as_c_str())?;
    }
    for (name, value) in wanted.iter().filter(|pair| !present.contains(pair)) {
        rustix::fs::fsetxattr(handle, name.as_c_str(), value, XattrFlags::empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_takes_on_the_attributes_of_another() {
        let scratch = tempfile::tempdir().unwrap();
        let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
        fs::create_dir(&one).unwrap();
        fs::create_dir(&two).unwrap();
        let handle = directory::open(&one).unwrap();
        rustix::fs::fchmod(&handle, Mode::from_raw_mode(0o1750)).unwrap();
        let labelled =
            rustix::fs::fsetxattr(&handle, c"user.colour", b"red", XattrFlags::empty()).is_ok();
        let other = directory::open(&two).unwrap();
        if labelled {
            rustix::fs::fsetxattr(&other, c"user.shape", b"round", XattrFlags::empty()).unwrap();
        }
        let wanted = Attributes::read(&one).unwrap();
        wanted.apply(&two).unwrap();
        assert_eq!(Attributes::read(&two).unwrap(), wanted);
        assert_eq!(wanted.mode, 0o1750);
        assert_eq!(wanted.xattrs.len(), usize::from(labelled));
    }
}
