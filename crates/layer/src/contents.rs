//! Where the bytes of files come from.

use std::collections::BTreeMap;
use std::io::{self, Read};

use yadokari_tree::{Node, TreePath};

/// Gives the bytes of files while a layer is written.
pub trait Contents {
    /// Opens the file that `node`, found under `path`, describes.
    ///
    /// # Errors
    ///
    /// If it cannot be opened; the writer adds the path.
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>>;
}

/// Files in memory, by their path.
impl<B: AsRef<[u8]>> Contents for BTreeMap<TreePath, B> {
    fn open(&self, path: &TreePath, _: &Node) -> io::Result<Box<dyn Read + '_>> {
        match self.get(path) {
            Some(bytes) => Ok(Box::new(bytes.as_ref())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl<C: Contents + ?Sized> Contents for &C {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        (**self).open(path, node)
    }
}
