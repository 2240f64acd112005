//! The tree and its plain edits.

use std::collections::HashMap;

use crate::{Children, Inode, Kind, Metadata, Name, Node, TreePath};

/// A file tree. Cloning costs nothing; edits copy what they touch.
///
/// Equality compares everything a tree says: names, metadata, contents as far
/// as known, and which names are hard links of each other.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) root: Node,
}

/// A node cannot be put where it was to go.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertError {
    /// A directory above the name is something else.
    #[error("`{path}` is not a directory")]
    ParentNotDirectory {
        /// What is in the way.
        path: TreePath,
    },
    /// The root can only be a directory.
    #[error("the root of a tree can only be a directory")]
    RootNotDirectory,
}

impl Default for Tree {
    fn default() -> Self {
        Self::empty()
    }
}

impl Tree {
    /// A root directory, `0755 0:0`, dated the epoch, and nothing in it.
    pub fn empty() -> Self {
        Self {
            root: Node::empty_directory(Metadata::implied_directory()),
        }
    }

    /// A tree with this directory as its root; `None` if it is none.
    pub fn from_root(root: Node) -> Option<Self> {
        root.is_directory().then_some(Self { root })
    }

    /// The root directory.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// Whether the root directory has no entries.
    pub fn is_empty(&self) -> bool {
        self.children().is_empty()
    }

    /// How many names there are, the root not counted. Walks the tree.
    pub fn len(&self) -> usize {
        self.walk().count()
    }

    /// The node with exactly this name; no symlink is followed.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        path.components()
            .try_fold(&self.root, |node, name| node.children()?.get(name))
    }

    /// Whether the name exists.
    pub fn contains(&self, path: &TreePath) -> bool {
        self.get(path).is_some()
    }

    /// The directory at `path` as a tree of its own; shared, not copied.
    pub fn subtree(&self, path: &TreePath) -> Option<Self> {
        Self::from_root(self.get(path)?.clone())
    }

    /// Puts a node under a name and returns what was there. Missing parents
    /// become `0755 0:0`, dated the epoch. A directory comes with its entries
    /// and replaces what was there, entries included.
    ///
    /// # Errors
    ///
    /// If a parent exists and is no directory (symlinks are not followed), or
    /// the root is to become something else; the tree is unchanged then.
    pub fn insert(&mut self, path: &TreePath, node: Node) -> Result<Option<Node>, InsertError> {
        self.insert_with_parents(path, node, &Metadata::implied_directory())
    }

    /// [`insert`](Self::insert) with the metadata of missing parents given.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert).
    pub fn insert_with_parents(
        &mut self,
        path: &TreePath,
        node: Node,
        parents: &Metadata,
    ) -> Result<Option<Node>, InsertError> {
        let Some(name) = path.name() else {
            return self.replace_root(node).map(Some);
        };
        self.check_parents(path)?;
        let directory = path.components().rev().skip(1).collect::<Vec<_>>();
        let mut children = self.children_mut();
        for component in directory.into_iter().rev() {
            children = entered(children, component, parents);
        }
        Ok(children.insert(name, node))
    }

    /// Removes a name with everything below it and returns it. Removing the
    /// root empties it and returns nothing.
    pub fn remove(&mut self, path: &TreePath) -> Option<Node> {
        self.get(path)?;
        let Some(name) = path.name() else {
            self.children_mut().clear();
            return None;
        };
        let parent = path.parent()?;
        self.node_mut(&parent)?.edit_children()?.remove(&name)
    }

    /// The metadata of an existing name, for editing. Another name of the same
    /// inode keeps the old metadata, and stops being a hard link of this one.
    pub fn metadata_mut(&mut self, path: &TreePath) -> Option<&mut Metadata> {
        self.get(path)?;
        Some(&mut self.node_mut(path)?.edit().metadata)
    }

    /// Metadata and entries of an existing directory, for editing.
    pub fn directory_mut(&mut self, path: &TreePath) -> Option<(&mut Metadata, &mut Children)> {
        self.get(path)?.children()?;
        let inode = self.node_mut(path)?.edit();
        match &mut inode.kind {
            Kind::Directory(children) => Some((&mut inode.metadata, children)),
            _ => None,
        }
    }

    /// Edits every inode, the root's too. Names of one inode stay names of one.
    pub fn edit_all(&mut self, edit: impl Fn(&mut Inode)) {
        // Beside each edited inode lies the one it was, so that no other can come to lie at its address.
        let mut linked: HashMap<usize, [Node; 2]> = HashMap::new();
        let mut pending = vec![&mut self.root];
        while let Some(node) = pending.pop() {
            if !node.is_directory() && node.is_shared() {
                let [_, edited] = linked.entry(node.identity()).or_insert_with(|| {
                    let mut edited = node.copied();
                    edit(edited.edit());
                    [node.clone(), edited]
                });
                *node = edited.clone();
                continue;
            }
            let inode = node.edit();
            edit(inode);
            if let Kind::Directory(children) = &mut inode.kind {
                pending.extend(children.values_mut());
            }
        }
    }

    pub(crate) fn children(&self) -> &Children {
        self.root
            .children()
            .expect("the root is a directory by construction")
    }

    fn children_mut(&mut self) -> &mut Children {
        self.root
            .edit_children()
            .expect("the root is a directory by construction")
    }

    /// Copies what is shared on the way; the caller has checked that the path exists.
    fn node_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        let mut node = &mut self.root;
        for name in path.components() {
            node = node.edit_children()?.get_mut(name)?;
        }
        Some(node)
    }

    fn replace_root(&mut self, node: Node) -> Result<Node, InsertError> {
        if node.is_directory() {
            Ok(std::mem::replace(&mut self.root, node))
        } else {
            Err(InsertError::RootNotDirectory)
        }
    }

    fn check_parents(&self, path: &TreePath) -> Result<(), InsertError> {
        let mut node = &self.root;
        let mut parent = TreePath::root();
        for name in path.components() {
            let Some(children) = node.children() else {
                return Err(InsertError::ParentNotDirectory { path: parent });
            };
            let Some(child) = children.get(name) else {
                return Ok(());
            };
            parent.step(name);
            node = child;
        }
        Ok(())
    }
}

/// The entries of a subdirectory, made if missing.
fn entered<'a>(children: &'a mut Children, name: &[u8], metadata: &Metadata) -> &'a mut Children {
    if !children.contains_key(name) {
        children.insert(
            Name::component(name),
            Node::empty_directory(metadata.clone()),
        );
    }
    let child = children
        .get_mut(name)
        .expect("inserted above if it was missing");
    child
        .edit_children()
        .expect("every existing parent was checked to be a directory")
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.root.same(&other.root)
            || (self.root == other.root && first_names(self).eq(first_names(other)))
    }
}

/// For each non-directory in walk order, the place of the first name of its inode.
fn first_names(tree: &Tree) -> impl Iterator<Item = usize> {
    let mut seen = HashMap::new();
    let inodes = tree
        .nodes()
        .filter(|node| !matches!(node.kind(), Kind::Directory(_)));
    inodes.enumerate().map(move |(at, node)| {
        if node.is_shared() {
            *seen.entry(node.identity()).or_insert(at)
        } else {
            at
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    fn file() -> Node {
        Node::file_of(Metadata::new(0o644), "x")
    }

    #[test]
    fn inserting_makes_missing_parents() {
        let mut made = Tree::empty();
        let parents = Metadata::new(0o700).owned_by(1, 2);
        assert_eq!(
            made.insert_with_parents(&"/a/b/f".into(), file(), &parents),
            Ok(None)
        );
        assert_eq!(made.get(&"/a/b".into()).unwrap().metadata(), &parents);
        assert_eq!(made.insert(&"/a/b/f".into(), file()), Ok(Some(file())));
        assert_eq!(made.len(), 3);
    }

    #[test]
    fn every_inode_is_edited_once_and_other_trees_keep_theirs() {
        let mut before = tree("/d/a 0644 x\n/e/c 0600 y");
        let shared = before.get(&"/d/a".into()).unwrap().clone();
        before.insert(&"/e/b".into(), shared).unwrap();
        let mut after = before.clone();
        after.edit_all(|inode| inode.metadata.uid += 1);
        assert!(after.nodes().all(|node| node.metadata().uid == 1));
        assert!(before.nodes().all(|node| node.metadata().uid == 0));
        let get = |path: &str| after.get(&path.into()).unwrap();
        assert!(get("/d/a").same(get("/e/b")));
        assert!(!get("/d/a").same(get("/e/c")));
        assert_eq!(after.root().metadata().uid, 1);
    }

    #[test]
    fn inserting_below_a_file_changes_nothing() {
        let before = tree("/f 0644 x");
        let mut after = before.clone();
        let error = after.insert(&"/f/g/h".into(), file());
        assert_eq!(
            error,
            Err(InsertError::ParentNotDirectory { path: "/f".into() })
        );
        assert_eq!(
            after.insert(&TreePath::root(), file()),
            Err(InsertError::RootNotDirectory)
        );
        assert_eq!(before, after);
    }

    #[test]
    fn edits_leave_other_versions_alone_and_share_the_rest() {
        let before = tree("/a/f 0644 x\n/b/g 0644 y");
        let mut after = before.clone();
        after.metadata_mut(&"/a/f".into()).unwrap().mode = 0o600;
        after.remove(&"/missing/x".into());
        assert_eq!(before.get(&"/a/f".into()).unwrap().metadata().mode, 0o644);
        let shared = |path: &str| {
            before
                .get(&path.into())
                .unwrap()
                .same(after.get(&path.into()).unwrap())
        };
        assert!(shared("/b"));
        assert!(!shared("/a"));
    }

    #[test]
    fn equality_sees_hard_links() {
        let linked = tree("/a 0644 x\n/b => /a");
        let copied = tree("/a 0644 x\n/b 0644 x");
        assert_ne!(linked, copied);
        assert_eq!(linked, tree("/a 0644 x\n/b => /a"));
        assert_eq!(linked.root(), copied.root());
    }

    #[test]
    fn removing_takes_the_subtree() {
        let mut changed = tree("/a/b/c 0644 x\n/d 0644 y");
        assert!(changed.remove(&"/a".into()).unwrap().is_directory());
        assert!(changed.remove(&"/a".into()).is_none());
        assert_eq!(changed, tree("/d 0644 y"));
        changed.remove(&TreePath::root());
        assert!(changed.is_empty());
    }
}
