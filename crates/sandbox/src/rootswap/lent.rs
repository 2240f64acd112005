//! The files of `/etc` that the runtime mounts into every container, which a command shares.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{At as _, Fault};
use crate::rootswap::attributes::Attributes;

/// Where they lie, relative to the root.
pub(super) const OF_RUNTIMES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Such a file as it is before a command may change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lent {
    content: Vec<u8>,
    added: String,
    attributes: Attributes,
}

impl Lent {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let handle = open(path, OFlags::RDONLY)?;
        let attributes = Attributes::of(&handle, path)?;
        let mut content = Vec::new();
        let mut file = File::from(handle);
        file.read_to_end(&mut content).at("read", path)?;
        Ok(Self {
            content,
            added: String::new(),
            attributes,
        })
    }

    /// The same file with something behind its content for the run.
    pub(crate) fn with(self, added: String) -> Self {
        Self { added, ..self }
    }

    /// Writes what is added for the run.
    pub(crate) fn put(&self, path: &Path) -> Result<(), Fault> {
        if self.added.is_empty() {
            return Ok(());
        }
        fs::write(path, [&self.content, self.added.as_bytes()].concat()).at("write", path)
    }

    /// Makes the file at `path` what it was, and says whether the command had changed it.
    ///
    /// One that was only read is left alone: it may be on a read-only mount.
    pub(crate) fn give_back(&self, path: &Path) -> Result<bool, Fault> {
        let now = Self::read(path).or_else(|_| {
            // Not every user 0 may read what its mode forbids.
            self.attributes.apply_mode(path)?;
            Self::read(path)
        })?;
        let foreign = now.content != [&self.content, self.added.as_bytes()].concat()
            || !now.attributes.same_access(&self.attributes);
        if now.content != self.content {
            fs::write(path, &self.content).at("write", path)?;
        } else if now.attributes.same_but_for_reading(&self.attributes) {
            return Ok(foreign);
        }
        self.attributes
            .apply_to(&open(path, OFlags::RDONLY)?, path)?;
        Ok(foreign)
    }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, Fault> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).at("open", path)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn whatever_was_done_to_a_file_is_undone() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("hosts");
        /// What is done, and whether that is told.
        type Deed = (fn(&Path), bool);
        let deeds: [Deed; 4] = [
            (|_| (), false),
            (
                |path| fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap(),
                true,
            ),
            (|path| fs::write(path, "shorter").unwrap(), true),
            (
                |path| {
                    let file = File::options().write(true).open(path).unwrap();
                    file.set_modified(std::time::UNIX_EPOCH).unwrap();
                },
                false,
            ),
        ];
        for (deed, told) in deeds {
            fs::write(&path, "127.0.0.1 localhost\n").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            let before = fs::metadata(&path).unwrap();
            let lent = Lent::read(&path).unwrap().with("10.0.0.1 db\n".to_owned());
            lent.put(&path).unwrap();
            deed(&path);
            assert_eq!(lent.give_back(&path).unwrap(), told);
            let after = fs::metadata(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"127.0.0.1 localhost\n");
            let seen = |of: &fs::Metadata| (of.mode(), of.mtime(), of.mtime_nsec(), of.ino());
            assert_eq!(seen(&after), seen(&before));
        }
    }

    #[test]
    fn a_file_that_was_only_read_is_not_touched() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("hosts");
        fs::write(&path, "127.0.0.1 localhost\n").unwrap();
        let lent = Lent::read(&path).unwrap();
        let before = fs::metadata(&path).unwrap();
        assert!(!lent.give_back(&path).unwrap());
        let after = fs::metadata(&path).unwrap();
        let changed = |of: &fs::Metadata| (of.ctime(), of.ctime_nsec());
        assert_eq!(changed(&after), changed(&before));
    }
}
