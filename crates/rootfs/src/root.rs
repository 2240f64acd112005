//! The handle through which everything below a build root is reached.

mod over;

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use yadokari_layer::Contents;
use yadokari_tree::{Node, TreePath};

use crate::attributes;
use crate::below::Below;
use crate::beneath::Resolver;
use crate::directory::{Dir, READ};
use crate::in_root;
use crate::remove::{remove_all, remove_children};

/// A directory that stands for `/` of an image.
///
/// Nothing reached through it lies outside: paths are [`TreePath`]s, which hold
/// no `..`, and no symlink on the way is followed, except by
/// [`Root::read_file`], which resolves links as if the directory were `/`.
/// Paths may be longer than the kernel takes in one call.
///
/// A root made by [`Root::over`] holds only what differs from another one, and
/// shows that one's files wherever it has nothing of its own.
///
/// The directory of the last path is kept open, so going through paths in
/// order costs one lookup per directory. Whoever lets another program rename
/// directories below the root calls [`Root::forget`] afterwards; a scan does
/// so by itself.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    top: Arc<Dir>,
    resolver: Resolver,
    recent: Mutex<Option<(TreePath, Arc<Dir>)>>,
    below: Option<Below>,
}

impl Root {
    /// Opens an existing directory as a root.
    ///
    /// # Errors
    ///
    /// When `path` is not a directory that can be listed.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let top = Arc::new(Dir::open(&path)?);
        Ok(Self {
            path,
            top,
            resolver: Resolver::default(),
            recent: Mutex::new(None),
            below: None,
        })
    }

    /// Makes a directory, 0755 whatever the umask, with its parents, and opens
    /// it as a root. One that is already there is opened as it is.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or opened.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
            DirBuilder::new().recursive(true).create(parent)?;
        }
        match DirBuilder::new().create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Self::open(path),
            made => made?,
        }
        let root = Self::open(path)?;
        fs::fchmod(&*root.top, Mode::from_raw_mode(0o755))?;
        Ok(root)
    }

    /// Where the root is, for whoever has to hand it to the kernel by name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file for reading. A fifo does not block; a symlink in any place
    /// is an error.
    ///
    /// # Errors
    ///
    /// What the kernel says; `ELOOP` or `ENOTDIR` for symlinks.
    pub fn open_file(&self, path: &TreePath) -> io::Result<File> {
        let opened = self
            .parent(path)
            .and_then(|(parent, name)| parent.read(name));
        match (opened, &self.below) {
            (Err(error), Some(below))
                if error.kind() == io::ErrorKind::NotFound && below.shown(path).is_some() =>
            {
                below.root.open_file(path)
            }
            (opened, _) => opened,
        }
    }

    /// Reads a file of the image as a program in it would: symlinks are
    /// resolved inside the root.
    ///
    /// # Errors
    ///
    /// `FileTooLarge` when there are more than `max` bytes, `InvalidInput`
    /// when the path is not a regular file, else what the kernel says.
    pub fn read_file(&self, path: &TreePath, max: u64) -> io::Result<Vec<u8>> {
        let (file, _) = attributes::regular(self.open_in_root(path)?)?;
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    fn open_in_root(&self, path: &TreePath) -> io::Result<File> {
        if self.below.is_some() {
            // The kernel resolves links in one directory only.
            return self.open_file(&in_root::resolve(self, path)?);
        }
        // Looked at before it is opened: opening a device can do something.
        let looked = self
            .resolver
            .in_root(&self.top, path.as_bytes(), OFlags::PATH);
        let Some(looked) = looked else {
            return self.open_file(&in_root::resolve(self, path)?);
        };
        let (looked, _) = attributes::regular(looked?.into())?;
        drop(looked);
        match self
            .resolver
            .in_root(&self.top, path.as_bytes(), READ - OFlags::NOFOLLOW)
        {
            Some(opened) => Ok(opened?.into()),
            None => self.open_file(&in_root::resolve(self, path)?),
        }
    }

    /// Type, size, owner, mode and times of what is at `path`, a symlink itself
    /// included.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn metadata(&self, path: &TreePath) -> io::Result<Metadata> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = if path.is_root() {
            fs::openat(&*self.top, c".", flags, Mode::empty())?
        } else {
            let (parent, name) = self.place(path)?;
            fs::openat(&*parent, name, flags, Mode::empty())?
        };
        File::from(opened).metadata()
    }

    /// Makes a directory and the parents it lacks, 0755 and owned by this
    /// process; `mode` (07777) is set on the last one if it was made now.
    ///
    /// Says whether the last one was made.
    ///
    /// # Errors
    ///
    /// What the kernel says; `AlreadyExists` when something else is there.
    pub fn create_dir(&self, path: &TreePath, mode: u16) -> io::Result<bool> {
        if path.is_root() {
            return Ok(false);
        }
        if let Some(above) = path.parent() {
            match self.dir(&above) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.create_dir(&above, 0o755)?;
                }
                found => drop(found?),
            }
        }
        let (parent, name) = self.parent(path)?;
        match parent.mkdir(name) {
            Ok(()) => parent.chmod(name, mode).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                parent.child(name).map(|_| false).map_err(|_| error)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a file into an existing directory, replacing what is there unless
    /// that is a directory.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn write_file(&self, path: &TreePath, bytes: &[u8], mode: u16) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let mut file = match parent.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                parent.unlink(name)?;
                parent.create(name)?
            }
            created => created?,
        };
        file.write_all(bytes)?;
        Ok(fs::fchmod(&file, Mode::from_raw_mode(mode.into()))?)
    }

    /// Removes `path` and everything below it; links are removed, not
    /// followed. What is not there counts as removed. The root itself is only
    /// emptied.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn remove_all(&self, path: &TreePath) -> io::Result<()> {
        self.forget();
        if path.is_root() {
            return remove_children(&self.top);
        }
        match self.parent(path) {
            Ok((parent, name)) => remove_all(&parent, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the whole root, the directory itself too.
    ///
    /// # Errors
    ///
    /// What the kernel says; the root may then be half gone.
    pub fn destroy(self) -> io::Result<()> {
        remove_children(&self.top)?;
        std::fs::remove_dir(&self.path)
    }

    /// Closes the directory that is kept open between calls.
    pub fn forget(&self) {
        *self.recent() = None;
    }

    /// The directory `path` is in, and the last name of it.
    pub(crate) fn parent<'a>(&self, path: &'a TreePath) -> io::Result<(Arc<Dir>, &'a [u8])> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.dir(&parent)?, name)),
            _ => Err(Errno::ISDIR.into()),
        }
    }

    /// The directory at `path`, as a place to work in.
    pub(crate) fn dir(&self, path: &TreePath) -> io::Result<Arc<Dir>> {
        if path.is_root() {
            return Ok(Arc::clone(&self.top));
        }
        let recent = self.recent().clone();
        let opened = match recent {
            Some((at, dir)) if at == *path => return Ok(dir),
            Some((at, dir)) if path.starts_with(&at) => {
                let below = &path.as_bytes()[at.as_bytes().len() + 1..];
                Arc::new(self.resolver.directory(&dir, below)?)
            }
            _ => Arc::new(self.resolver.directory(&self.top, path.as_bytes())?),
        };
        *self.recent() = Some((path.clone(), Arc::clone(&opened)));
        Ok(opened)
    }

    /// The root directory itself.
    pub(crate) fn top(&self) -> &Arc<Dir> {
        &self.top
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Option<(TreePath, Arc<Dir>)>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents for Root {
    fn open(&self, path: &TreePath, _node: &Node) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.open_file(path)?))
    }
}
