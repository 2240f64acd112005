//! What a layer has to carry.

use std::fmt::{self, Display};

use crate::{Kind, Node, Tree, TreePath};

/// One name that a layer puts or removes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The name is this node now. Of a directory only the metadata counts: its
    /// entries are changes of their own.
    Put {
        /// The name.
        path: TreePath,
        /// What it is now.
        node: Node,
    },
    /// The name is gone.
    Remove {
        /// The name.
        path: TreePath,
    },
}

impl Change {
    /// The name this is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Put { path, .. } | Self::Remove { path } => path,
        }
    }
}

/// Why a change is listed; for people, no layer records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Added,
    Changed,
    Parent,
    Removed,
}

/// Changes in path order, parents first, each name once.
///
/// Displayed one per line: `+ /new`, `~ /changed`, `- /removed`; unchanged
/// parents are in the list and not in the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    changes: Vec<Change>,
    marks: Vec<Mark>,
    sockets: Vec<TreePath>,
}

impl Changes {
    /// The changes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Change> {
        self.changes.iter()
    }

    /// How many there are, parents included.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// New or changed sockets, which no archive can carry and which are
    /// therefore no changes. Worth a warning.
    pub fn sockets(&self) -> &[TreePath] {
        &self.sockets
    }

    /// Sum of the sizes of the files that are put, a hard-linked one once per name.
    pub fn content_bytes(&self) -> u64 {
        let sizes = self.iter().map(|change| match change {
            Change::Put { node, .. } => node.content().map_or(0, |content| content.size),
            Change::Remove { .. } => 0,
        });
        sizes.sum()
    }

    /// Brings a tree to the state after the changes.
    ///
    /// The tree must be the one the changes were taken from, or like it: a
    /// parent that is neither in the tree nor in the list is made, and one that
    /// is no directory is replaced.
    pub fn apply_to(&self, tree: &mut Tree) {
        for change in self {
            match change {
                Change::Remove { path } => drop(tree.remove(path)),
                Change::Put { path, node } => put(tree, path, node),
            }
        }
    }

    pub(crate) fn push(&mut self, change: Change, mark: Mark) {
        self.changes.push(change);
        self.marks.push(mark);
    }

    pub(crate) fn push_socket(&mut self, path: TreePath) {
        self.sockets.push(path);
    }
}

fn put(tree: &mut Tree, path: &TreePath, node: &Node) {
    let is_directory = |tree: &Tree| tree.get(path).is_some_and(Node::is_directory);
    let node = match node.kind() {
        Kind::Directory(_) if is_directory(tree) => {
            if let Some(metadata) = tree.metadata_mut(path) {
                *metadata = node.metadata().clone();
            }
            return;
        }
        Kind::Directory(_) => Node::empty_directory(node.metadata().clone()),
        _ => node.clone(),
    };
    for parent in path.ancestors().filter(|parent| !parent.is_root()) {
        if tree.get(&parent).is_some_and(|node| !node.is_directory()) {
            tree.remove(&parent);
        }
    }
    // Cannot fail: what was in the way is gone, and only directories are ever
    // listed for the root.
    let _ = tree.insert(path, node);
}

/// Sorts the changes; of several for one name the last counts.
impl FromIterator<Change> for Changes {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        let by_path: std::collections::BTreeMap<_, _> = changes
            .into_iter()
            .map(|change| (change.path().clone(), change))
            .collect();
        let mut sorted = Self::default();
        for change in by_path.into_values() {
            let mark = if matches!(change, Change::Put { .. }) {
                Mark::Changed
            } else {
                Mark::Removed
            };
            sorted.push(change, mark);
        }
        sorted
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = &'a Change;
    type IntoIter = std::slice::Iter<'a, Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}

impl Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (change, mark) in self.changes.iter().zip(&self.marks) {
            let sign = match mark {
                Mark::Added => '+',
                Mark::Changed => '~',
                Mark::Removed => '-',
                Mark::Parent => continue,
            };
            writeln!(f, "{sign} {}", change.path())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metadata, diff, tree};

    #[test]
    fn the_text_leaves_out_unchanged_parents() {
        let changes = diff(
            &tree("/etc/motd 0644 a\n/tmp/x 0644 b"),
            &tree("/etc/motd 0600 a\n/new/f 0644 c"),
        );
        assert_eq!(
            changes.to_string(),
            "~ /etc/motd\n+ /new\n+ /new/f\n- /tmp\n"
        );
        assert_eq!(changes.len(), 5);
    }

    #[test]
    fn collected_changes_are_sorted_and_the_last_counts() {
        let put = |path: &str, text| Change::Put {
            path: path.into(),
            node: Node::file_of(Metadata::new(0o644), text),
        };
        let changes: Changes = [
            put("/b", "1"),
            put("/a/x", "2"),
            put("/b", "3"),
            Change::Remove { path: "/a".into() },
        ]
        .into_iter()
        .collect();
        assert_eq!(changes.to_string(), "- /a\n~ /a/x\n~ /b\n");
        assert_eq!(changes.content_bytes(), 2);
        let mut after = tree("/a 0644 file");
        changes.apply_to(&mut after);
        assert_eq!(after, tree("/a/x 0644 2\n/b 0644 3"));
    }

    #[test]
    fn applying_over_another_kind_of_parent_replaces_it() {
        let changes: Changes = [Change::Put {
            path: "/a/b/c".into(),
            node: Node::file_of(Metadata::new(0o644), "x"),
        }]
        .into_iter()
        .collect();
        let mut after = tree("/a -> somewhere");
        changes.apply_to(&mut after);
        assert_eq!(after, tree("/a/b/c 0644 x"));
    }
}
