//! Where the bytes of files that a step adds come from.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use yadokari_layer::Contents;
use yadokari_rootfs::Root;
use yadokari_tree::{Name, Node, TreePath};

/// One file's bytes. Small, since a step can add a million files.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A file in this directory, with the name it also has in the stage.
    Beside(Arc<Folder>),
    /// A file in this directory with a name of its own.
    Named(Arc<(Arc<Folder>, Name)>),
    /// Text of the Dockerfile.
    Bytes(Arc<Vec<u8>>),
    /// A scratch file: a download, or a member of an archive.
    File(Arc<ScratchPath>),
    /// Nothing: what stood for a socket.
    Empty,
}

/// A directory below a root: of a build context, or of another stage.
#[derive(Debug)]
pub(crate) struct Folder {
    root: Arc<Root>,
    path: TreePath,
}

impl Folder {
    /// The directory with this path.
    pub(crate) fn new(root: &Arc<Root>, path: TreePath) -> Self {
        Self {
            root: Arc::clone(root),
            path,
        }
    }

    fn open(&self, name: &[u8], node: &Node) -> io::Result<Box<dyn Read + '_>> {
        self.root.open(&self.path.join(name), node)
    }
}

/// A scratch file and, behind it, whatever keeps it from being deleted.
#[derive(Debug)]
pub(crate) struct ScratchPath {
    /// The file.
    pub(crate) path: PathBuf,
    /// The directory it lies in, deleted when the last file of it is no longer needed.
    pub(crate) _directory: Option<Arc<tempfile::TempDir>>,
}

/// The origins of all files that a step adds, by their place in the stage.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    folders: HashMap<TreePath, HashMap<Name, Origin>>,
}

impl Origins {
    /// Notes where the bytes are of the file with this name in a directory.
    pub(crate) fn insert(&mut self, folder: &TreePath, name: Name, origin: Origin) {
        match self.folders.get_mut(folder) {
            Some(files) => files.insert(name, origin),
            None => self
                .folders
                .entry(folder.clone())
                .or_default()
                .insert(name, origin),
        };
    }

    /// The directories that files were added to, each with the names of these files.
    pub(crate) fn folders(&self) -> impl Iterator<Item = (&TreePath, impl Iterator<Item = &Name>)> {
        self.folders
            .iter()
            .map(|(path, files)| (path, files.keys()))
    }

    /// The origin of the file at this path, if the step added it.
    pub(crate) fn get(&self, path: &TreePath) -> Option<&Origin> {
        self.folders.get(&path.parent()?)?.get(path.file_name()?)
    }
}

impl Contents for Origins {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        let unknown =
            || io::Error::new(io::ErrorKind::NotFound, "no source is known for this file");
        match self.get(path).ok_or_else(unknown)? {
            Origin::Beside(folder) => folder.open(path.file_name().unwrap_or_default(), node),
            Origin::Named(source) => source.0.open(&source.1, node),
            Origin::Bytes(bytes) => Ok(Box::new(&bytes[..])),
            Origin::File(scratch) => Ok(Box::new(open_scratch(&scratch.path)?)),
            Origin::Empty => Ok(Box::new(io::empty())),
        }
    }
}

/// Opens a file of the state directory, which is ours and not below any build root.
fn open_scratch(path: &std::path::Path) -> io::Result<std::fs::File> {
    std::fs::File::open(path)
}
