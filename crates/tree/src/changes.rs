//! What a layer has to carry.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Display};

use crate::{Kind, Name, Node, Tree, TreePath};

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
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The directories that changed names lie in.
    directories: Vec<TreePath>,
    entries: Vec<Entry>,
    sockets: Vec<TreePath>,
}

/// A changed name. There can be a million of them, so paths are put together when they are asked for.
#[derive(Debug, Clone)]
struct Entry {
    /// Which of the directories it lies in.
    directory: u32,
    mark: Mark,
    /// None for the root.
    name: Option<Name>,
    /// What it is now, if it is not gone.
    node: Option<Node>,
}

impl Changes {
    /// The changes in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            changes: self,
            entries: self.entries.iter(),
        }
    }

    /// How many there are, parents included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// New or changed sockets, which no archive can carry and which are
    /// therefore no changes. Worth a warning.
    pub fn sockets(&self) -> &[TreePath] {
        &self.sockets
    }

    /// Sum of the sizes of the files that are put, a hard-linked one once per name.
    pub fn content_bytes(&self) -> u64 {
        let files = self.nodes().filter_map(Node::content);
        files.map(|content| content.size).sum()
    }

    /// The inodes, by [`Node::identity`], that are put under more than one name. Directories are none of them.
    pub fn linked(&self) -> HashSet<usize> {
        let files = self.nodes().filter(|node| !node.is_directory());
        let mut all: Vec<_> = files.map(Node::identity).collect();
        all.sort_unstable();
        let same = all.windows(2).filter(|pair| pair[0] == pair[1]);
        same.map(|pair| pair[0]).collect()
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.entries.iter().filter_map(|entry| entry.node.as_ref())
    }

    /// Brings a tree to the state after the changes.
    ///
    /// The tree must be the one the changes were taken from, or like it: a
    /// parent that is neither in the tree nor in the list is made, and one that
    /// is no directory is replaced.
    pub fn apply_to(&self, tree: &mut Tree) {
        for change in self {
            match change {
                Change::Remove { path } => drop(tree.remove(&path)),
                Change::Put { path, node } => put(tree, &path, &node),
            }
        }
    }

    /// Adds a name that lies in a directory: what it is now, or that it is gone.
    pub(crate) fn push(
        &mut self,
        directory: &TreePath,
        name: &Name,
        node: Option<Node>,
        mark: Mark,
    ) {
        let entry = Entry {
            directory: self.directory(directory),
            mark,
            name: Some(name.clone()),
            node,
        };
        self.entries.push(entry);
    }

    /// The same for a whole path.
    pub(crate) fn push_path(&mut self, path: &TreePath, node: Option<Node>, mark: Mark) {
        let entry = Entry {
            directory: self.directory(&path.parent().unwrap_or_default()),
            mark,
            name: path.name(),
            node,
        };
        self.entries.push(entry);
    }

    /// The number of a directory. Most names lie where the one before does.
    fn directory(&mut self, path: &TreePath) -> u32 {
        let last = self.entries.last().map(|entry| entry.directory);
        if let Some(last) = last.filter(|last| self.directories[*last as usize] == *path) {
            return last;
        }
        self.directories.push(path.clone());
        u32::try_from(self.directories.len() - 1).expect("paths of that many fit into no memory")
    }

    fn change(&self, entry: &Entry) -> Change {
        let directory = &self.directories[entry.directory as usize];
        let path = match &entry.name {
            Some(name) => directory.join(name),
            None => TreePath::root(),
        };
        match &entry.node {
            Some(node) => Change::Put {
                path,
                node: node.clone(),
            },
            None => Change::Remove { path },
        }
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
        let named = changes.into_iter().map(|change| match change {
            Change::Put { path, node } => (path, Some(node)),
            Change::Remove { path } => (path, None),
        });
        let by_path: BTreeMap<_, _> = named.collect();
        let mut sorted = Self::default();
        for (path, node) in by_path {
            let mark = match node {
                Some(_) => Mark::Changed,
                None => Mark::Removed,
            };
            sorted.push_path(&path, node, mark);
        }
        sorted
    }
}

/// Equal changes are the same names with equal nodes, listed for the same reasons.
impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        let marks = |changes: &Self| changes.entries.iter().map(|entry| entry.mark).collect();
        let (own, others): (Vec<_>, Vec<_>) = (marks(self), marks(other));
        own == others && self.iter().eq(other) && self.sockets == other.sockets
    }
}

impl<'a> IntoIterator for &'a Changes {
    type Item = Change;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Goes through [`Changes`] in their order.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    changes: &'a Changes,
    entries: std::slice::Iter<'a, Entry>,
}

impl Iterator for Iter<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        self.entries.next().map(|entry| self.changes.change(entry))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (change, entry) in self.iter().zip(&self.entries) {
            let sign = match entry.mark {
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
    fn only_inodes_with_several_names_are_linked() {
        let node = |text| Node::file_of(Metadata::new(0o644), text);
        let (once, twice) = (node("1"), node("2"));
        let names = [("/a", &once), ("/b", &twice), ("/d/c", &twice)];
        let put = |(path, node): (&str, &Node)| Change::Put {
            path: path.into(),
            node: node.clone(),
        };
        let changes: Changes = names.map(put).into_iter().collect();
        assert_eq!(changes.linked(), HashSet::from([twice.identity()]));
    }

    #[test]
    fn a_change_costs_little_more_than_its_name() {
        assert!(size_of::<Entry>() <= 32);
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
