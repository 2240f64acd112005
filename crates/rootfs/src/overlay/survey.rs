//! What was met in an upper directory besides plain entries.

use std::collections::{BTreeMap, BTreeSet};

use yadokari_tree::TreePath;

use super::marks::{Marked, Role};

/// Everything in an upper directory that has to be treated when its entries are
/// moved, so that whoever moves them need not look at the others again.
#[derive(Debug, Default)]
pub(super) struct Survey {
    marked: BTreeMap<TreePath, Marked>,
    /// Names that were passed over, directories among them.
    unseen: BTreeSet<TreePath>,
}

impl Survey {
    /// Notes what an entry is.
    pub(super) fn found(&mut self, path: &TreePath, marked: Marked) {
        if !marked.is_plain() {
            self.marked.insert(path.clone(), marked);
        }
    }

    /// Notes that nobody looked at a name and what is below it.
    pub(super) fn unseen(&mut self, path: TreePath) {
        self.unseen.insert(path);
    }

    /// What an entry is, if it was looked at.
    pub(super) fn of(&self, path: &TreePath) -> Option<&Marked> {
        if !self.unseen.is_empty() {
            let missed = |path: &TreePath| self.unseen.contains(path);
            if missed(path) || path.ancestors().any(|above| missed(&above)) {
                return None;
            }
        }
        Some(self.marked.get(path).unwrap_or(&PRESENT))
    }

    /// The entries below a directory that are more than plain; nothing if not
    /// all of it was looked at.
    pub(super) fn below(&self, top: &TreePath) -> Option<Vec<(TreePath, Marked)>> {
        self.of(top)?;
        let missed = self.unseen.range(top.clone()..).next();
        if missed.is_some_and(|path| path.starts_with(top)) {
            return None;
        }
        let from = self.marked.range(top.clone()..);
        let below = from.take_while(|(path, _)| path.starts_with(top));
        let below = below.filter(|(path, _)| *path != top);
        Some(
            below
                .map(|(path, marked)| (path.clone(), marked.clone()))
                .collect(),
        )
    }
}

impl Marked {
    /// Whether the entry is a directory that hides the one below.
    pub(super) fn is_opaque(&self) -> bool {
        self.role == Role::Opaque
    }
}

static PRESENT: Marked = Marked::PRESENT;
