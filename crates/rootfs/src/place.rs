//! Putting single nodes onto the disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{FileType, makedev};
use rustix::io::Errno;
use yadokari_tree::{Kind, Metadata, Node, TreePath};

use crate::clone::copy_bytes;
use crate::describe;
use crate::directory::Dir;
use crate::error::{At, UnpackError};
use crate::root::Root;

/// What could not be put onto the disk as it is in the tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shortfalls {
    /// Device nodes this process may not make; empty files stand for them.
    pub devices: u64,
    /// Extended attributes the kernel or the filesystem refused.
    pub attributes: u64,
}

/// Writes nodes below a root, replacing what is in their place. In a root that
/// lies over another, what goes is hidden, and directories of the one below are
/// made anew to hold what changes in them.
///
/// Directories stay open to their owner until [`Placer::finish`] gives them
/// their metadata: by then nothing is put into them any more, so neither a mode
/// without write permission nor the times suffer.
#[derive(Debug)]
pub(crate) struct Placer<'r> {
    pub(crate) root: &'r Root,
    pub(crate) shortfalls: Shortfalls,
    touched: BTreeSet<TreePath>,
    /// Directories this placer made, which have no attributes to get rid of.
    made: BTreeSet<TreePath>,
    recent_parent: Option<TreePath>,
}

impl<'r> Placer<'r> {
    pub(crate) fn new(root: &'r Root) -> Self {
        root.forget();
        Self {
            root,
            shortfalls: Shortfalls::default(),
            touched: BTreeSet::new(),
            made: BTreeSet::new(),
            recent_parent: None,
        }
    }

    /// Makes a directory, or keeps the one that is there.
    pub(crate) fn directory(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        if path.is_root() {
            return Ok(());
        }
        self.touched.insert(path.clone());
        let (parent, name) = self.parent(path)?;
        let made = match unlocked(&parent, || parent.mkdir(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match parent.child(name) {
                    Ok(_) => false,
                    Err(_) => {
                        self.root.clear(path).at("replace", path)?;
                        parent.mkdir(name).at("create", path)?;
                        self.cover(&parent, name, path)?;
                        true
                    }
                }
            }
            made => made.map(|()| true).at("create", path)?,
        };
        if made {
            self.made.insert(path.clone());
        }
        Ok(())
    }

    /// Makes a regular file; `body` writes what is in it.
    pub(crate) fn file<T>(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        body: impl FnOnce(&mut File) -> Result<T, UnpackError>,
    ) -> Result<T, UnpackError> {
        let (parent, name) = self.parent(path)?;
        let create = || parent.create_as(name, metadata.mode);
        let mut file = self.fresh(&parent, path, create)?;
        let written = body(&mut file)?;
        self.shortfalls.attributes += describe::file(&file, path, metadata)?;
        Ok(written)
    }

    /// Makes a node that is neither a directory nor a regular file.
    pub(crate) fn special(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        kind: &Kind,
    ) -> Result<(), UnpackError> {
        let (file_type, device) = match kind {
            Kind::Symlink(target) => return self.symlink(path, metadata, target),
            Kind::CharDevice { major, minor } => {
                (FileType::CharacterDevice, makedev(*major, *minor))
            }
            Kind::BlockDevice { major, minor } => (FileType::BlockDevice, makedev(*major, *minor)),
            Kind::Fifo => (FileType::Fifo, 0),
            Kind::Socket => (FileType::Socket, 0),
            Kind::Directory(_) | Kind::File(_) => return Ok(()),
        };
        let (parent, name) = self.parent(path)?;
        let made = self.fresh(&parent, path, || {
            match parent.mknod(name, file_type, device) {
                Err(error) if is_device(file_type) && is_refusal(&error) => Ok(false),
                made => made.map(|()| true),
            }
        })?;
        if !made {
            self.shortfalls.devices += 1;
            return self.file(path, metadata, |_| Ok(()));
        }
        let entry = describe::Entry {
            parent: &parent,
            name,
            path,
        };
        self.shortfalls.attributes += entry.describe(metadata)?;
        Ok(())
    }

    fn symlink(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        target: &[u8],
    ) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        self.fresh(&parent, path, || parent.symlink(name, target))?;
        let entry = describe::Entry {
            parent: &parent,
            name,
            path,
        };
        self.shortfalls.attributes += entry.describe_symlink(metadata)?;
        Ok(())
    }

    /// Makes `path` another name of the file at `target`. Says whether the
    /// filesystem had room for one more name.
    pub(crate) fn link(&mut self, path: &TreePath, target: &TreePath) -> Result<bool, UnpackError> {
        if path == target {
            return Ok(true);
        }
        self.bring_up(target)?;
        if target.starts_with(path) {
            return self.link_over(path, target);
        }
        let (source, source_name) = self.parent(target)?;
        let (parent, name) = self.parent(path)?;
        self.fresh(&parent, path, || {
            match parent.link(name, &source, source_name) {
                Err(error) if error.raw_os_error() == Some(Errno::MLINK.raw_os_error()) => {
                    Ok(false)
                }
                linked => linked.map(|()| true),
            }
        })
    }

    /// A link takes the place of a directory its target lies in: the target
    /// is brought out first.
    fn link_over(&mut self, path: &TreePath, target: &TreePath) -> Result<bool, UnpackError> {
        let (source, source_name) = self.parent(target)?;
        let (parent, name) = self.parent(path)?;
        let aside = free_name(&parent).at("replace", path)?;
        source
            .rename(source_name, &parent, &aside)
            .at("link", path)?;
        self.root.clear(path).at("replace", path)?;
        parent.rename(&aside, &parent, name).at("link", path)?;
        Ok(true)
    }

    /// Removes a name with everything below it.
    pub(crate) fn remove(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        if let Some(parent) = path.parent() {
            self.touched.insert(parent);
        }
        self.recent_parent = None;
        self.root.clear(path).at("remove", path)?;
        let shown = self.root.below().and_then(|below| below.shown(path));
        if shown.is_some() {
            self.hide(path)?;
        }
        Ok(())
    }

    /// Hides a name of the root below.
    fn hide(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let whiteout = || parent.mknod(name, FileType::CharacterDevice, 0);
        Ok(unlocked(&parent, whiteout).at("hide", path)?)
    }

    /// Keeps what the root below has in a directory from showing in a new one.
    fn cover(&self, parent: &Dir, name: &[u8], path: &TreePath) -> Result<(), UnpackError> {
        match self.root.below() {
            Some(below) if below.shows_directory(path) => {
                Ok(below.cover(parent, name, path).at("cover", path)?)
            }
            _ => Ok(()),
        }
    }

    /// Copies a name that only the root below has, so that something can be
    /// done to it here.
    fn bring_up(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let Some(below) = self.root.below() else {
            return Ok(());
        };
        let (parent, name) = self.parent(path)?;
        let Some(node) = below.shown(path).filter(|_| parent.stat(name).is_err()) else {
            return Ok(());
        };
        if !node.is_file() {
            return self.special(path, node.metadata(), node.kind());
        }
        let mut source = below.root.open_file(path).at("open", path)?;
        self.file(path, node.metadata(), |file| {
            Ok(copy_bytes(&mut source, file).at("copy", path)?)
        })
    }

    /// Gives every directory that was made, or changed inside, its metadata.
    pub(crate) fn finish<'m>(
        &mut self,
        metadata: impl Fn(&TreePath) -> Option<&'m Metadata>,
    ) -> Result<(), UnpackError> {
        // Children before parents: a mode may close a directory to its owner.
        let touched = std::mem::take(&mut self.touched);
        // The root is nobody's entry: no layer says how it is.
        for path in touched.iter().rev().filter(|path| !path.is_root()) {
            let known = metadata(path).or_else(|| self.metadata_below(path));
            if let Some(metadata) = known {
                self.describe_directory(path, metadata)?;
            }
        }
        self.root.forget();
        Ok(())
    }

    /// The metadata of a directory that was only made to hold something, and is
    /// otherwise the one below.
    fn metadata_below(&self, path: &TreePath) -> Option<&'r Metadata> {
        let below = self.root.below().filter(|_| self.made.contains(path))?;
        below.shown(path).map(Node::metadata)
    }

    fn describe_directory(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
    ) -> Result<(), UnpackError> {
        let (parent, name) = self.root.parent(path).at("open the directory of", path)?;
        let entry = describe::Entry {
            parent: &parent,
            name,
            path,
        };
        if !self.made.contains(path) {
            entry.remove_other_attributes(metadata)?;
        }
        self.shortfalls.attributes += entry.describe(metadata)?;
        Ok(())
    }

    /// The directory `path` lies in, made if it is missing.
    fn parent<'a>(&mut self, path: &'a TreePath) -> Result<(Arc<Dir>, &'a [u8]), UnpackError> {
        let above = path.parent().unwrap_or_default();
        if self.recent_parent.as_ref() != Some(&above) {
            self.touched.insert(above.clone());
            self.recent_parent = Some(above);
        }
        match self.root.parent(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = path.parent().unwrap_or_default();
                self.directory(&above)?;
                Ok(self.root.parent(path).at("open the directory of", path)?)
            }
            found => Ok(found.at("open the directory of", path)?),
        }
    }

    /// Makes something new, once more after removing what was in its place.
    fn fresh<T>(
        &self,
        parent: &Dir,
        path: &TreePath,
        make: impl Fn() -> io::Result<T>,
    ) -> Result<T, UnpackError> {
        match unlocked(parent, &make) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.root.clear(path).at("replace", path)?;
                Ok(make().at("create", path)?)
            }
            made => Ok(made.at("create", path)?),
        }
    }
}

/// Tries again after opening a directory to its owner, who may be an ordinary
/// user that its mode keeps out.
fn unlocked<T>(parent: &Dir, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            if parent.unlock().is_err() {
                return Err(error);
            }
            make()
        }
        made => made,
    }
}

fn free_name(dir: &Dir) -> io::Result<Vec<u8>> {
    for number in 0_u32.. {
        let name = format!(".yadokari-{number}").into_bytes();
        match dir.stat(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(name),
            taken => drop(taken?),
        }
    }
    Err(Errno::EXIST.into())
}

fn is_device(kind: FileType) -> bool {
    matches!(kind, FileType::CharacterDevice | FileType::BlockDevice)
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::ACCESS)
    )
}
