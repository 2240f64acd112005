//! Where the bytes of files that a step adds come from.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use yadokari_layer::Contents;
use yadokari_rootfs::Root;
use yadokari_tree::{Name, Node, TreePath};

use crate::state::Roots;

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

impl Origin {
    fn is_beside(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Beside(one), Self::Beside(two)) if Arc::ptr_eq(one, two))
    }
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
    pub(crate) _directory: Option<Arc<Roots>>,
}

/// The origins of all files that a step adds, by their place in the stage.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    folders: HashMap<TreePath, Added>,
}

/// What was added to one directory of the stage.
#[derive(Debug, Default)]
struct Added {
    /// Where all files are that have no origin of their own here: beside each other in a directory of a source.
    beside: Option<Origin>,
    others: HashMap<Name, Origin>,
}

impl Added {
    fn insert(&mut self, name: Name, origin: Origin) {
        if self.beside.is_none() && matches!(origin, Origin::Beside(_)) {
            self.beside = Some(origin);
            self.others.remove(&name);
        } else if self
            .beside
            .as_ref()
            .is_some_and(|one| origin.is_beside(one))
        {
            self.others.remove(&name);
        } else {
            self.others.insert(name, origin);
        }
    }

    fn get(&self, name: &[u8]) -> Option<&Origin> {
        self.others.get(name).or(self.beside.as_ref())
    }
}

impl Origins {
    /// Notes where the bytes are of the file with this name in a directory.
    pub(crate) fn insert(&mut self, folder: &TreePath, name: Name, origin: Origin) {
        match self.folders.get_mut(folder) {
            Some(added) => added.insert(name, origin),
            None => self
                .folders
                .entry(folder.clone())
                .or_default()
                .insert(name, origin),
        }
    }

    /// The directories that files were added to.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &TreePath> {
        self.folders.keys()
    }

    /// The origin of a file that the step added.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// A directory of a source that has a file `f` with its name as text.
    fn folder(text: &str) -> (tempfile::TempDir, Origin) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("f"), text).unwrap();
        let root = Arc::new(Root::open(directory.path()).unwrap());
        let folder = Arc::new(Folder::new(&root, TreePath::root()));
        (directory, Origin::Beside(folder))
    }

    #[test]
    fn the_last_origin_of_a_file_counts() {
        let ((_one, one), (_two, two)) = (folder("one"), folder("two"));
        let text = Origin::Bytes(Arc::new(b"text".to_vec()));
        for (what, order, want) in [
            ("one", vec![&one], "one"),
            ("two sources", vec![&one, &two], "two"),
            ("and back", vec![&one, &two, &one], "one"),
            ("a text over a file", vec![&one, &text], "text"),
            ("a file over a text", vec![&text, &one], "one"),
            ("a text between files", vec![&one, &text, &two], "two"),
        ] {
            let mut origins = Origins::default();
            let place = TreePath::parse("d");
            for origin in order {
                origins.insert(&place, name("f"), origin.clone());
            }
            let node = Node::file(yadokari_tree::Metadata::new(0o644), 0);
            let mut found = String::new();
            let mut file = origins.open(&place.join("f"), &node).unwrap();
            file.read_to_string(&mut found).unwrap();
            assert_eq!(found, want, "{what}");
            assert_eq!(origins.folders().collect::<Vec<_>>(), [&place]);
        }
    }

    #[test]
    fn what_was_put_elsewhere_has_no_origin() {
        let (_one, one) = folder("one");
        let mut origins = Origins::default();
        origins.insert(&TreePath::parse("d"), name("f"), one);
        assert!(origins.get(&TreePath::parse("e/f")).is_none());
        assert!(origins.get(&TreePath::root()).is_none());
    }
}
