//! Where the bytes of files that a step adds come from.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use yadokari_layer::Contents;
use yadokari_rootfs::Root;
use yadokari_tree::{Node, TreePath};

/// One file's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A file below a root: a build context or another stage.
    Root(Arc<Root>, TreePath),
    /// Text of the Dockerfile.
    Bytes(Arc<[u8]>),
    /// A scratch file: a download, or a member of an archive.
    File(Arc<ScratchPath>),
    /// Nothing: what stood for a socket.
    Empty,
}

/// A scratch file and, behind it, whatever keeps it from being deleted.
#[derive(Debug)]
pub(crate) struct ScratchPath {
    /// The file.
    pub(crate) path: PathBuf,
    /// The directory it lies in, deleted when the last file of it is no longer needed.
    pub(crate) _directory: Option<Arc<tempfile::TempDir>>,
}

/// The origins of all files that a step adds, by their path in the stage.
#[derive(Debug, Default, Clone)]
pub(crate) struct Origins {
    files: HashMap<TreePath, Origin>,
}

impl Origins {
    /// Notes where a file's bytes are.
    pub(crate) fn insert(&mut self, path: TreePath, origin: Origin) {
        self.files.insert(path, origin);
    }

    /// The paths of all files the step added.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.files.keys()
    }

    /// The origin of the file at this path, if the step added it.
    pub(crate) fn get(&self, path: &TreePath) -> Option<&Origin> {
        self.files.get(path)
    }
}

impl Contents for Origins {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        let Some(origin) = self.files.get(path) else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no source is known for this file",
            ));
        };
        match origin {
            Origin::Root(root, source) => root.open(source, node),
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
