//! From an upper directory into the root below it, by rename.

use std::io;

use rustix::fs::FileType;
use yadokari_tree::{Timestamp, TreePath};

use super::marks::{Marked, Role};
use super::survey::Survey;
use super::{OverlayMarks, read_error};
use crate::attributes;
use crate::describe::itself;
use crate::directory::{Dir, kind_of};
use crate::error::{At, DiskError, ScanError, UnpackError};
use crate::found::Found;
use crate::listing::{Listing, ListingBuffer};
use crate::root::Root;

pub(super) fn merge(
    upper: &Root,
    root: &Root,
    marks: OverlayMarks,
    survey: Option<Survey>,
) -> Result<(), UnpackError> {
    upper.forget();
    root.forget();
    let mut merging = Merging {
        upper,
        root,
        marks,
        survey,
        shared: vec![TreePath::root()],
        buffer: ListingBuffer::new(),
    };
    while let Some(path) = merging.shared.pop() {
        merging.directory(&path)?;
    }
    root.forget();
    Ok(())
}

struct Merging<'a> {
    upper: &'a Root,
    root: &'a Root,
    marks: OverlayMarks,
    survey: Option<Survey>,
    /// Directories of the mount that show entries of both sides.
    shared: Vec<TreePath>,
    buffer: ListingBuffer,
}

/// A name of the upper directory, and the two directories it is to move between.
struct Entry<'a> {
    from: &'a Dir,
    to: &'a Dir,
    name: &'a [u8],
    path: TreePath,
    kind: FileType,
}

impl Entry<'_> {
    fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Whether the root has a directory under the name.
    fn meets_directory(&self) -> bool {
        let met = self.to.stat(self.name);
        met.is_ok_and(|stat| kind_of(&stat) == FileType::Directory)
    }
}

impl Merging<'_> {
    fn directory(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let from = self.upper.dir(path).at("open", path)?;
        let to = self.root.dir(path).at("open", path)?;
        let described = from.stat_self().map_err(read_error(path))?;
        let xattrs = attributes::read(&from, b".").map_err(read_error(path))?;
        for (name, kind) in self.list(&from, path)?.iter() {
            self.entry(&Entry {
                from: &from,
                to: &to,
                name,
                path: path.join(name),
                kind,
            })?;
        }
        // Moving its entries moved its time.
        let metadata = Found::of(&described).metadata(xattrs);
        let entry = itself(&to, path);
        entry.remove_other_attributes(&metadata)?;
        entry.describe(&metadata)?;
        Ok(())
    }

    fn list(&mut self, dir: &Dir, path: &TreePath) -> Result<Listing, DiskError> {
        let listable = dir.listable().at("open", path)?;
        let listing = Listing::read(&listable, &mut self.buffer).at("list", path)?;
        listing.with_kinds(dir).map_err(read_error(path))
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), UnpackError> {
        let marked = self.marked(entry)?;
        match marked.role {
            Role::Whiteout => self.remove(entry),
            Role::Present if entry.is_directory() && entry.meets_directory() => {
                self.shared.push(entry.path.clone());
                Ok(())
            }
            _ if entry.is_directory() => self.take_directory(entry, &marked),
            _ => self.take(entry, &marked),
        }
    }

    fn marked(&self, entry: &Entry<'_>) -> Result<Marked, UnpackError> {
        let known = self.survey.as_ref();
        match known.and_then(|survey| survey.of(&entry.path)) {
            Some(marked) => Ok(marked.clone()),
            None => self.read_marks(entry.from, entry.name, &entry.path),
        }
    }

    fn read_marks(&self, dir: &Dir, name: &[u8], path: &TreePath) -> Result<Marked, UnpackError> {
        let found = Found::of(&dir.stat(name).map_err(read_error(path))?);
        let marked = self.marks.read(dir, name, &found, path);
        marked.map_err(|error| match error {
            ScanError::Disk(error) => error.into(),
            other => UnpackError::Overlay(other),
        })
    }

    /// Removes what a whiteout hides, and keeps hiding what lies below the root.
    fn remove(&self, entry: &Entry<'_>) -> Result<(), UnpackError> {
        let Entry { to, name, path, .. } = entry;
        self.clear(path)?;
        if self
            .root
            .below()
            .is_some_and(|below| below.shown(path).is_some())
        {
            let hidden = to.mknod(name, FileType::CharacterDevice, 0);
            hidden.at("hide", path)?;
        }
        Ok(())
    }

    /// Puts anything but a directory in place of whatever the root has under its name.
    fn take(&self, entry: &Entry<'_>, marked: &Marked) -> Result<(), UnpackError> {
        let Entry {
            from,
            to,
            name,
            path,
            ..
        } = entry;
        self.marks.strip(from, name, marked, path)?;
        match from.rename_over(name, to, name) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.clear(path)?;
                Ok(from.rename_over(name, to, name).at("move", path)?)
            }
            moved => Ok(moved.at("move", path)?),
        }
    }

    /// Puts a directory in place of whatever the root has under its name. Over
    /// another root it may still show what that one has in it.
    fn take_directory(&mut self, entry: &Entry<'_>, marked: &Marked) -> Result<(), UnpackError> {
        let Entry {
            from,
            to,
            name,
            path,
            ..
        } = entry;
        let shows = self
            .root
            .below()
            .filter(|below| below.shows_directory(path));
        let replaces = to.stat(name).is_ok();
        let hides = shows.is_some() && (marked.is_opaque() || replaces);
        if shows.is_none() || hides {
            self.clean(path)?;
        } else {
            self.note_opaque(path)?;
        }
        self.marks.strip(from, name, marked, path)?;
        self.clear(path)?;
        if let Some(below) = shows.filter(|_| hides) {
            below.cover(from, name, path).at("cover", path)?;
        }
        from.rename(name, to, name).at("move", path)?;
        self.upper.forget();
        self.root.forget();
        Ok(())
    }

    fn clear(&self, path: &TreePath) -> Result<(), UnpackError> {
        Ok(self.root.clear(path).at("remove", path)?)
    }

    /// Removes whiteouts, which hide nothing any more, and marks.
    fn clean(&mut self, top: &TreePath) -> Result<(), UnpackError> {
        for (path, marked) in self.below(top)? {
            let (dir, name) = self.upper.parent(&path).at("open", &path)?;
            if marked.role != Role::Whiteout {
                self.marks.strip(&dir, name, &marked, &path)?;
                continue;
            }
            let mtime = dir.stat_self().map_err(read_error(&path))?.stx_mtime;
            dir.unlink(name).at("remove", &path)?;
            let mtime = Timestamp::new(mtime.tv_sec, mtime.tv_nsec);
            dir.set_mtime(b".", mtime).at("set the time of", &path)?;
        }
        Ok(())
    }

    /// Tells a root that lies over another which directories stay opaque.
    fn note_opaque(&mut self, top: &TreePath) -> Result<(), UnpackError> {
        for (path, marked) in self.below(top)? {
            if let Some(below) = self.root.below().filter(|_| marked.is_opaque()) {
                below.note_opaque(path);
            }
        }
        Ok(())
    }

    /// All entries below a directory of the upper one that are more than plain.
    fn below(&mut self, top: &TreePath) -> Result<Vec<(TreePath, Marked)>, UnpackError> {
        if let Some(known) = self.survey.as_ref().and_then(|survey| survey.below(top)) {
            return Ok(known);
        }
        let mut found = Vec::new();
        let mut waiting = vec![top.clone()];
        while let Some(path) = waiting.pop() {
            let dir = self.upper.dir(&path).at("open", &path)?;
            for (name, kind) in self.list(&dir, &path)?.iter() {
                let below = path.join(name);
                let marked = self.read_marks(&dir, name, &below)?;
                if kind == FileType::Directory {
                    waiting.push(below.clone());
                }
                if !marked.is_plain() {
                    found.push((below, marked));
                }
            }
        }
        Ok(found)
    }
}
