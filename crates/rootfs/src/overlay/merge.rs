//! From an upper directory into the root below it, by rename.

use rustix::fs::FileType;
use yadokari_tree::{Timestamp, TreePath};

use super::marks::{Marked, Role};
use super::{OverlayMarks, itself, read_error};
use crate::attributes;
use crate::directory::{Dir, kind_of};
use crate::error::{At, DiskError, ScanError, UnpackError};
use crate::found::Found;
use crate::listing::{Listing, ListingBuffer};
use crate::remove::remove_all;
use crate::root::Root;

pub(super) fn merge(upper: &Root, root: &Root, marks: OverlayMarks) -> Result<(), UnpackError> {
    upper.forget();
    root.forget();
    let mut merging = Merging {
        upper,
        root,
        marks,
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
    /// Directories of the mount that show entries of both sides.
    shared: Vec<TreePath>,
    buffer: ListingBuffer,
}

impl Merging<'_> {
    fn directory(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let from = self.upper.dir(path).at("open", path)?;
        let to = self.root.dir(path).at("open", path)?;
        let described = from.stat_self().map_err(read_error(path))?;
        let xattrs = attributes::read(&from, b".").map_err(read_error(path))?;
        for (name, _) in self.list(&from, path)?.iter() {
            self.name(&from, &to, name, &path.join(name))?;
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
        Listing::read(&listable, &mut self.buffer).at("list", path)
    }

    fn name(
        &mut self,
        from: &Dir,
        to: &Dir,
        name: &[u8],
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        let found = Found::of(&from.stat(name).map_err(read_error(path))?);
        let marked = self.marked(from, name, &found, path)?;
        let meets_directory = to.stat(name).is_ok_and(|stat| is_directory(kind_of(&stat)));
        match marked.role {
            Role::Whiteout => Ok(remove_all(to, name).at("remove", path)?),
            Role::Present if found.is_directory() && meets_directory => {
                self.shared.push(path.clone());
                Ok(())
            }
            _ if found.is_directory() => {
                self.marks.strip(from, name, &marked, path)?;
                self.take_directory(from, to, name, path)
            }
            _ => {
                if meets_directory {
                    remove_all(to, name).at("remove", path)?;
                }
                self.marks.strip(from, name, &marked, path)?;
                Ok(from.rename_over(name, to, name).at("move", path)?)
            }
        }
    }

    fn marked(
        &self,
        dir: &Dir,
        name: &[u8],
        found: &Found,
        path: &TreePath,
    ) -> Result<Marked, UnpackError> {
        let marked = self.marks.read(dir, name, found, path);
        marked.map_err(|error| match error {
            ScanError::Disk(error) => error.into(),
            other => UnpackError::Overlay(other),
        })
    }

    /// Puts a directory in place of whatever the root has under its name.
    fn take_directory(
        &mut self,
        from: &Dir,
        to: &Dir,
        name: &[u8],
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        self.clean(path)?;
        remove_all(to, name).at("remove", path)?;
        from.rename(name, to, name).at("move", path)?;
        self.upper.forget();
        self.root.forget();
        Ok(())
    }

    /// Removes whiteouts, which hide nothing any more, and marks.
    fn clean(&mut self, top: &TreePath) -> Result<(), UnpackError> {
        let mut waiting = vec![top.clone()];
        while let Some(path) = waiting.pop() {
            let dir = self.upper.dir(&path).at("open", &path)?;
            let mtime = dir.stat_self().map_err(read_error(&path))?.stx_mtime;
            let mut removed = false;
            for (name, _) in self.list(&dir, &path)?.iter() {
                let below = path.join(name);
                let found = Found::of(&dir.stat(name).map_err(read_error(&below))?);
                let marked = self.marked(&dir, name, &found, &below)?;
                if marked.role == Role::Whiteout {
                    dir.unlink(name).at("remove", &below)?;
                    removed = true;
                    continue;
                }
                self.marks.strip(&dir, name, &marked, &below)?;
                if found.is_directory() {
                    waiting.push(below);
                }
            }
            if removed {
                let mtime = Timestamp::new(mtime.tv_sec, mtime.tv_nsec);
                dir.set_mtime(b".", mtime).at("set the time of", &path)?;
            }
        }
        Ok(())
    }
}

fn is_directory(kind: FileType) -> bool {
    kind == FileType::Directory
}
