//! Roots that hold only their difference to another.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yadokari_tree::{Tree, TreePath};

use super::Root;
use crate::attributes;
use crate::below::Below;
use crate::describe::itself;
use crate::directory::Dir;
use crate::error::{At, UnpackError};
use crate::found::Found;
use crate::overlay::OverlayMarks;

impl Root {
    /// Makes an empty directory at `path` that stands for the same files as
    /// `below`, whose tree is `tree` and which must not change any more.
    ///
    /// What is written to it hides what is below in the way of an overlay
    /// mount, with `marks`; [`Root::directories`] are the directories of such a
    /// mount.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made and described as the one below is.
    pub fn over(
        below: Arc<Self>,
        tree: Tree,
        path: impl Into<PathBuf>,
        marks: OverlayMarks,
    ) -> Result<Self, UnpackError> {
        let at = TreePath::root();
        let made = Self::create(path).and_then(|root| {
            root.remove_all(&at)?;
            Ok(root)
        });
        let mut root = made.at("make a directory over", &at)?;
        let stat = below.top.stat_self().at("examine", &at)?;
        let xattrs = attributes::read(&below.top, b".").at("examine", &at)?;
        itself(&root.top, &at).describe(&Found::of(&stat).metadata(xattrs))?;
        root.below = Some(Below::new(below, tree, marks));
        Ok(root)
    }

    /// The directories on disk whose files the root stands for, those above
    /// hiding those below: only one, [`Root::path`], unless it lies over another.
    pub fn directories(&self) -> Vec<&Path> {
        let below = std::iter::successors(self.below.as_ref(), |below| below.root.below.as_ref());
        let below = below.map(|below| below.root.path());
        std::iter::once(self.path()).chain(below).collect()
    }

    /// The one place on disk that has everything at `path` and below, if there
    /// is one: a root that lies over another may have a part of it.
    pub fn in_one_place(&self, path: &TreePath) -> Option<PathBuf> {
        let here = || self.path.join(OsStr::from_bytes(path.as_bytes()));
        let Some(below) = &self.below else {
            return Some(here());
        };
        match self.place_here(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => below.root.in_one_place(path),
            _ if path.is_root() && self.has_nothing() => below.root.in_one_place(path),
            _ if !path.is_root() && !below.shows_directory(path) => Some(here()),
            _ => None,
        }
    }

    fn has_nothing(&self) -> bool {
        let names = std::fs::read_dir(&self.path).map(|mut names| names.next().is_none());
        names.unwrap_or(false)
    }

    fn place_here(&self, path: &TreePath) -> io::Result<()> {
        if path.is_root() {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        parent.stat(name).map(drop)
    }

    /// [`Root::parent`] in the root that has the name: this one or one below.
    pub(crate) fn place<'a>(&self, path: &'a TreePath) -> io::Result<(Arc<Dir>, &'a [u8])> {
        let Some(below) = &self.below else {
            return self.parent(path);
        };
        match self.place_here(path) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && below.shown(path).is_some() =>
            {
                below.root.place(path)
            }
            _ => self.parent(path),
        }
    }

    /// What this root lies over.
    pub(crate) fn below(&self) -> Option<&Below> {
        self.below.as_ref()
    }

    /// Removes a name of this root; what is below it shows again.
    pub(crate) fn clear(&self, path: &TreePath) -> io::Result<()> {
        if let Some(below) = &self.below {
            below.forget(path);
        }
        self.remove_all(path)
    }
}
