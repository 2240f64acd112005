//! What the kernel writes onto entries of an upper directory.

use std::io;

use rustix::fs::FileType;
use yadokari_tree::TreePath;

use super::OverlayMarks;
use crate::attributes;
use crate::directory::Dir;
use crate::error::{At, DiskError, ScanError};
use crate::found::Found;

/// What an entry of an upper directory is to the directory below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its name is not there.
    Whiteout,
    /// A directory that hides everything in the one below.
    Opaque,
    /// It is there itself; a directory shows what is below as well.
    Present,
}

/// An entry's role, and the marks that say so.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    pub(super) role: Role,
    /// Without their prefix.
    marks: Vec<Vec<u8>>,
}

impl Marked {
    /// An entry without marks.
    pub(super) const PRESENT: Self = Self::bare(Role::Present);

    /// A device that stands for a removed name.
    pub(super) const WHITEOUT: Self = Self::bare(Role::Whiteout);

    const fn bare(role: Role) -> Self {
        Self {
            role,
            marks: Vec::new(),
        }
    }

    /// Whether the entry is there and nothing on it says that there is an overlay.
    pub(super) fn is_plain(&self) -> bool {
        self.role == Role::Present && self.marks.is_empty()
    }
}

impl OverlayMarks {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Trusted => b"trusted.overlay.",
            Self::User => b"user.overlay.",
        }
    }

    /// The marks among an entry's attributes, without their prefix.
    fn among(self, names: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let prefix = self.prefix();
        let marks = names.iter().filter_map(|name| name.strip_prefix(prefix));
        // An overlay inside the overlay has its own marks stored under a
        // longer name: they are data here.
        let marks = marks.filter(|mark| !mark.starts_with(b"overlay."));
        marks.map(<[u8]>::to_vec).collect()
    }

    fn attribute(self, mark: &[u8]) -> Vec<u8> {
        [self.prefix(), mark].concat()
    }

    /// Reads what an entry is and has, its name resolved in `dir`.
    pub(super) fn read(
        self,
        dir: &Dir,
        name: &[u8],
        found: &Found,
        path: &TreePath,
    ) -> Result<Marked, ScanError> {
        if found.is_whiteout() {
            return Ok(Marked::WHITEOUT);
        }
        let names = attributes::names(dir, name).at(READ, path)?;
        self.find(dir, name, &names, found, path)
    }

    /// [`OverlayMarks::read`] of an entry whose attributes are called `names`.
    pub(super) fn find(
        self,
        dir: &Dir,
        name: &[u8],
        names: &[Vec<u8>],
        found: &Found,
        path: &TreePath,
    ) -> Result<Marked, ScanError> {
        let marks = self.among(names);
        if let Some(mark) = marks.iter().find(|mark| REFERENCES.contains(&&***mark)) {
            return Err(ScanError::OverlayMark {
                path: path.clone(),
                mark: self.attribute(mark).escape_ascii().to_string(),
            });
        }
        let has = |mark: &[u8]| marks.iter().any(|found| found == mark);
        let regular = found.kind == FileType::RegularFile;
        let role = match () {
            () if found.is_directory() && has(OPAQUE) && self.is_opaque(dir, name, path)? => {
                Role::Opaque
            }
            () if regular && found.size == 0 && has(WHITEOUT) => Role::Whiteout,
            () => Role::Present,
        };
        Ok(Marked { role, marks })
    }

    /// The same mark with another value only says that there are whiteouts.
    fn is_opaque(self, dir: &Dir, name: &[u8], path: &TreePath) -> Result<bool, DiskError> {
        let value = attributes::value(dir, name, &self.attribute(OPAQUE)).at(READ, path)?;
        Ok(value.as_deref() == Some(b"y"))
    }

    /// Makes a directory hide what the one below has.
    pub(crate) fn cover(self, dir: &Dir, name: &[u8]) -> io::Result<()> {
        attributes::set(dir, name, &self.attribute(OPAQUE), b"y")
    }

    /// Removes the marks that were found on an entry.
    pub(super) fn strip(
        self,
        dir: &Dir,
        name: &[u8],
        marked: &Marked,
        path: &TreePath,
    ) -> Result<(), DiskError> {
        for mark in &marked.marks {
            attributes::remove(dir, name, &self.attribute(mark)).at(REMOVE, path)?;
        }
        Ok(())
    }
}

const OPAQUE: &[u8] = b"opaque";
const WHITEOUT: &[u8] = b"whiteout";
/// The entry's names or bytes are those of another one.
const REFERENCES: [&[u8]; 2] = [b"redirect", b"metacopy"];
const READ: &str = "read the overlay marks of";
const REMOVE: &str = "remove the overlay marks of";
