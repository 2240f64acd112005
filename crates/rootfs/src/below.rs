//! What lies below a root that holds only its difference to another.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yadokari_tree::{Node, Tree, TreePath};

use crate::directory::Dir;
use crate::overlay::OverlayMarks;
use crate::root::Root;

/// The root below another one, which shows wherever that one has nothing.
///
/// What is missing is marked as overlayfs marks it, so that the kernel shows a
/// command the same files: a whiteout hides one name, an opaque directory all
/// names in it.
#[derive(Debug)]
pub(crate) struct Below {
    pub(crate) root: Arc<Root>,
    tree: Tree,
    marks: OverlayMarks,
    /// Directories of the upper root that are opaque.
    opaque: Mutex<BTreeSet<TreePath>>,
}

impl Below {
    pub(crate) fn new(root: Arc<Root>, tree: Tree, marks: OverlayMarks) -> Self {
        Self {
            root,
            tree,
            marks,
            opaque: Mutex::default(),
        }
    }

    /// What shows under a name while the upper root has nothing there.
    pub(crate) fn shown(&self, path: &TreePath) -> Option<&Node> {
        let opaque = self.opaque();
        let hidden = !opaque.is_empty() && path.ancestors().any(|above| opaque.contains(&above));
        drop(opaque);
        self.tree.get(path).filter(|_| !hidden)
    }

    /// Whether a directory shows under a name while the upper root has nothing there.
    pub(crate) fn shows_directory(&self, path: &TreePath) -> bool {
        self.shown(path).is_some_and(Node::is_directory)
    }

    /// Makes a directory of the upper root hide what is below it.
    pub(crate) fn cover(&self, dir: &Dir, name: &[u8], path: &TreePath) -> io::Result<()> {
        self.marks.cover(dir, name)?;
        self.note_opaque(path.clone());
        Ok(())
    }

    /// Notes a directory of the upper root that carries the mark already.
    pub(crate) fn note_opaque(&self, path: TreePath) {
        self.opaque().insert(path);
    }

    /// Nothing of the upper root is at a name or below it any more.
    pub(crate) fn forget(&self, path: &TreePath) {
        let mut opaque = self.opaque();
        let gone: Vec<_> = opaque
            .range(path.clone()..)
            .take_while(|opaque| opaque.starts_with(path))
            .cloned()
            .collect();
        for path in gone {
            opaque.remove(&path);
        }
    }

    fn opaque(&self) -> MutexGuard<'_, BTreeSet<TreePath>> {
        self.opaque.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
