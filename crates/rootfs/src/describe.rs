//! Giving entries their owner, mode, attributes and time, in this order: a
//! change of the owner takes setuid bits and capabilities away, and everything
//! before the time moves it.

use std::fs::File;
use std::io;

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown, fstat, futimens};
use rustix::io::Errno;
use yadokari_tree::{Metadata, TreePath};

use crate::attributes;
use crate::directory::{Dir, times};
use crate::error::{At, DiskError, UnpackError};

/// Describes a file that was just made and written. Says how many attributes
/// were refused.
///
/// Most files are made with the owner and mode they are to have, and need no
/// more than a look.
pub(crate) fn file(file: &File, path: &TreePath, metadata: &Metadata) -> Result<u64, UnpackError> {
    let made = fstat(file).map_err(io::Error::from).at("examine", path)?;
    let owned_already = (made.st_uid, made.st_gid) == (metadata.uid, metadata.gid);
    if !owned_already {
        let (uid, gid) = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
        owned(fchown(file, Some(uid), Some(gid)), path, metadata)?;
    }
    if !owned_already || made.st_mode & 0o7777 != u32::from(metadata.mode) {
        let moded = fchmod(file, Mode::from_raw_mode(metadata.mode.into()));
        moded.map_err(io::Error::from).at(MODE, path)?;
    }
    let refused = attributes::write_opened(file, &metadata.xattrs).at(ATTRIBUTES, path)?;
    let timed = futimens(file, &times(metadata.mtime));
    timed.map_err(io::Error::from).at(TIME, path)?;
    Ok(refused)
}

/// An entry that is described by its name.
pub(crate) struct Entry<'a> {
    pub(crate) parent: &'a Dir,
    pub(crate) name: &'a [u8],
    pub(crate) path: &'a TreePath,
}

impl Entry<'_> {
    /// Describes anything but a symlink. Says how many attributes were refused.
    pub(crate) fn describe(&self, metadata: &Metadata) -> Result<u64, UnpackError> {
        self.own(metadata)?;
        // Attributes of a directory go first: its mode may close it.
        let refused = self.attribute(metadata)?;
        self.parent
            .chmod(self.name, metadata.mode)
            .at(MODE, self.path)?;
        self.time(metadata)?;
        Ok(refused)
    }

    /// Describes a symlink, which has no mode of its own.
    pub(crate) fn describe_symlink(&self, metadata: &Metadata) -> Result<u64, UnpackError> {
        self.own(metadata)?;
        let refused = self.attribute(metadata)?;
        self.time(metadata)?;
        Ok(refused)
    }

    /// Removes the attributes an existing entry has and is not to have.
    pub(crate) fn remove_other_attributes(&self, metadata: &Metadata) -> Result<(), UnpackError> {
        let removed = attributes::remove_others(self.parent, self.name, &metadata.xattrs);
        Ok(removed.at(ATTRIBUTES, self.path)?)
    }

    fn own(&self, metadata: &Metadata) -> Result<(), UnpackError> {
        let owner = self.parent.chown(self.name, metadata.uid, metadata.gid);
        owned(owner, self.path, metadata)
    }

    fn attribute(&self, metadata: &Metadata) -> Result<u64, UnpackError> {
        let refused = attributes::write_named(self.parent, self.name, &metadata.xattrs);
        Ok(refused.at(ATTRIBUTES, self.path)?)
    }

    fn time(&self, metadata: &Metadata) -> Result<(), UnpackError> {
        let timed = self.parent.set_mtime(self.name, metadata.mtime);
        Ok(timed.at(TIME, self.path)?)
    }
}

/// A directory itself, as an entry to describe.
pub(crate) fn itself<'a>(dir: &'a Dir, path: &'a TreePath) -> Entry<'a> {
    Entry {
        parent: dir,
        name: b".",
        path,
    }
}

fn owned<E: Into<io::Error>>(
    result: Result<(), E>,
    path: &TreePath,
    metadata: &Metadata,
) -> Result<(), UnpackError> {
    let Err(error) = result.map_err(Into::into) else {
        return Ok(());
    };
    match Errno::from_io_error(&error) {
        Some(Errno::PERM | Errno::INVAL) => Err(UnpackError::Owner {
            path: path.clone(),
            uid: metadata.uid,
            gid: metadata.gid,
            source: error,
        }),
        _ => Err(DiskError::new("set the owner of", path, error).into()),
    }
}

const MODE: &str = "set the mode of";
const ATTRIBUTES: &str = "set the attributes of";
const TIME: &str = "set the time of";
