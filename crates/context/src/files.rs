//! The files of a context as a COPY sees them.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::Arc;

use yadokari_image::Digest;
use yadokari_layer::Contents;
use yadokari_rootfs::{Root, ScanError, hash_files};
use yadokari_tree::{
    CAPABILITY, Children, ContentDigest, Kind, Metadata, Name, Node, Tree, TreePath,
};

use crate::build_context::ContextError;
use crate::content_digest::{Selected, selection_digest};

/// The files of a context: everything its ignore file lets through, owned by root.
///
/// Capabilities of files are dropped, except of empty ones, as they are when a context is
/// sent to a daemon. Sockets are in the tree; a copy makes empty files of them. Digests of
/// contents are computed when they are asked for and remembered in the tree.
#[derive(Debug)]
pub struct ContextFiles {
    root: Arc<Root>,
    tree: Tree,
    threads: usize,
}

impl ContextFiles {
    pub(crate) fn new(root: Arc<Root>, found: &Tree, threads: usize) -> Self {
        let tree = owned_by_root(found);
        Self {
            root,
            tree,
            threads,
        }
    }

    /// The tree; paths in it are paths below the context.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The context itself, for opening files.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// Digests of files' contents; what is not a file has none.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn digests(&self, paths: &[TreePath]) -> Result<Vec<Option<ContentDigest>>, ContextError> {
        hash_below(&self.root, &self.tree, paths, self.threads)?;
        let digest = |path| self.tree.get(path).and_then(Node::content)?.digest();
        Ok(paths.iter().map(digest).collect())
    }

    /// The digest a COPY of these sources is keyed by.
    ///
    /// # Errors
    ///
    /// As [`ContextFiles::digests`].
    pub fn digest(&self, selection: &[Selected]) -> Result<Digest, ContextError> {
        let paths: Vec<_> = selection.iter().map(|source| source.path.clone()).collect();
        hash_below(&self.root, &self.tree, &paths, self.threads)?;
        Ok(selection_digest(&self.tree, selection)?)
    }
}

impl Contents for ContextFiles {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        self.root.open(path, node)
    }
}

/// Hashes every file at or below `paths` that was not hashed yet, on several threads.
///
/// # Errors
///
/// The first file that cannot be read.
pub fn hash_below(
    root: &Root,
    tree: &Tree,
    paths: &[TreePath],
    threads: usize,
) -> Result<(), ScanError> {
    hash_files(root, &unhashed(tree, paths), threads)
}

fn unhashed(tree: &Tree, paths: &[TreePath]) -> Vec<(TreePath, Node)> {
    let mut found = Vec::new();
    let unhashed = |node: &Node| {
        node.content()
            .is_some_and(|content| content.digest().is_none())
    };
    for top in paths {
        match tree.subtree(top) {
            Some(below) => {
                let files = below.files().filter(|(_, node)| unhashed(node));
                found.extend(files.map(|(path, node)| (top.join(path.as_bytes()), node.clone())));
            }
            None => {
                let file = tree.get(top).filter(|node| unhashed(node));
                found.extend(file.map(|node| (top.clone(), node.clone())));
            }
        }
    }
    found
}

/// Gives everything to root, and takes capabilities off files with content.
fn owned_by_root(found: &Tree) -> Tree {
    if normal(found.root()).is_none() && found.nodes().all(|node| normal(node).is_none()) {
        return found.clone();
    }
    let mut copies = HashMap::new();
    let mut open = vec![Open::new(None, found.root())];
    loop {
        let top = open
            .last_mut()
            .expect("the loop returns when the last directory is closed");
        match top.pending.pop() {
            Some((name, node)) if node.is_directory() => open.push(Open::new(Some(name), &node)),
            Some((name, node)) => {
                let copy = copies
                    .entry(node.identity())
                    .or_insert_with(|| copied(&node));
                top.children.insert(name, copy.clone());
            }
            None => {
                let Open {
                    name,
                    metadata,
                    children,
                    ..
                } = open.pop().expect("just looked at");
                let closed = Node::directory(metadata, children);
                match (open.last_mut(), name) {
                    (Some(parent), Some(name)) => parent.children.insert(name, closed),
                    _ => return Tree::from_root(closed).unwrap_or_default(),
                };
            }
        }
    }
}

/// A directory whose entries are being copied. Nesting is up to whoever made the
/// context, so it takes no stack.
struct Open {
    name: Option<Name>,
    metadata: Metadata,
    pending: Vec<(Name, Node)>,
    children: Children,
}

impl Open {
    fn new(name: Option<Name>, node: &Node) -> Self {
        let children = node.children().into_iter().flatten();
        Self {
            name,
            metadata: normal(node).unwrap_or_else(|| node.metadata().clone()),
            pending: children
                .map(|(name, node)| (name.clone(), node.clone()))
                .collect(),
            children: Children::new(),
        }
    }
}

fn copied(node: &Node) -> Node {
    normal(node).map_or_else(|| node.clone(), |metadata| node.with_metadata(metadata))
}

/// What the metadata should be, if it is something else.
fn normal(node: &Node) -> Option<Metadata> {
    let found = node.metadata();
    let strip = match node.kind() {
        Kind::File(content) => content.size > 0 && found.xattrs.capability().is_some(),
        _ => false,
    };
    if found.uid == 0 && found.gid == 0 && !strip {
        return None;
    }
    let mut metadata = found.clone();
    (metadata.uid, metadata.gid) = (0, 0);
    if strip {
        metadata.xattrs.remove(CAPABILITY);
    }
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use yadokari_tree::{Timestamp, Xattrs};

    use super::*;

    fn metadata(uid: u32) -> Metadata {
        let mut xattrs = Xattrs::default();
        xattrs.insert(CAPABILITY, b"cap");
        Metadata {
            mode: 0o644,
            uid,
            gid: uid,
            mtime: Timestamp {
                seconds: 7,
                nanos: 0,
            },
            xattrs,
        }
    }

    fn insert(tree: &mut Tree, path: &str, node: Node) {
        tree.insert_with_parents(&TreePath::parse(path), node, &metadata(5))
            .unwrap();
    }

    #[test]
    fn everything_is_roots_and_links_stay_links() {
        let mut found = Tree::empty();
        let shared = Node::file(metadata(7), 3);
        insert(&mut found, "d/a", shared.clone());
        insert(&mut found, "d/b", shared);
        insert(&mut found, "d/e/empty", Node::file(metadata(0), 0));
        insert(&mut found, "l", Node::symlink(metadata(3), "x"));
        let tree = owned_by_root(&found);
        assert_eq!(tree.len(), found.len());
        for node in tree.nodes() {
            assert_eq!((node.metadata().uid, node.metadata().gid), (0, 0));
        }
        let get = |path: &str| tree.get(&TreePath::parse(path)).unwrap();
        assert!(get("d/a").same(get("d/b")));
        assert!(get("d/a").metadata().xattrs.capability().is_none());
        assert!(get("d/e/empty").metadata().xattrs.capability().is_some());
        assert_eq!(get("l").metadata().mtime.seconds, 7);
    }

    #[test]
    fn contents_are_hashed_where_asked_and_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path()).unwrap();
        let mut tree = Tree::empty();
        for number in 0..20 {
            let path = format!("d{}/f{number}", number % 2);
            let file = directory.path().join(&path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{number:02}")).unwrap();
            insert(&mut tree, &path, Node::file(metadata(0), 2));
        }
        hash_below(&root, &tree, &[TreePath::parse("d0")], 4).unwrap();
        let content = |path: &str| tree.get(&TreePath::parse(path)).unwrap().content().unwrap();
        assert_eq!(content("d0/f4").digest(), Some(ContentDigest::of("04")));
        assert_eq!(content("d1/f5").digest(), None);
        std::fs::remove_dir_all(directory.path().join("d0")).unwrap();
        hash_below(&root, &tree, &[TreePath::parse("d0")], 4).unwrap();
        std::fs::remove_dir_all(directory.path().join("d1")).unwrap();
        hash_below(&root, &tree, &[TreePath::root()], 4).unwrap_err();
    }
}
