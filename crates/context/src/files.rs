//! The files of a context as a COPY sees them.

use std::io::{self, Read};
use std::sync::Arc;

use yadokari_image::Digest;
use yadokari_layer::Contents;
use yadokari_rootfs::{Root, ScanError, hash_files};
use yadokari_tree::{CAPABILITY, ContentDigest, Inode, Kind, Node, Tree, TreePath};

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
    pub(crate) fn new(root: Arc<Root>, mut tree: Tree, threads: usize) -> Self {
        tree.edit_all(owned_by_root);
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
    for top in paths {
        match tree.subtree(top) {
            Some(below) => {
                let files = below.files();
                let files = files.map(|(path, node)| (top.join(path.as_bytes()), node.clone()));
                hash_each(root, files, threads)?;
            }
            None => {
                let file = tree.get(top).map(|node| (top.clone(), node.clone()));
                hash_each(root, file.into_iter(), threads)?;
            }
        }
    }
    Ok(())
}

/// Hashes what has not been hashed, some thousand files at a time: of a million, not even the paths are small.
fn hash_each(
    root: &Root,
    files: impl Iterator<Item = (TreePath, Node)>,
    threads: usize,
) -> Result<(), ScanError> {
    let is_unhashed = |node: &Node| {
        let content = node.content();
        content.is_some_and(|content| content.digest().is_none())
    };
    let mut unhashed = files.filter(|(_, node)| is_unhashed(node));
    loop {
        let some: Vec<_> = unhashed.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(());
        }
        hash_files(root, &some, threads)?;
    }
}

const AT_ONCE: usize = 4096;

/// Gives an inode to root, and takes a capability off a file with content.
fn owned_by_root(inode: &mut Inode) {
    (inode.metadata.uid, inode.metadata.gid) = (0, 0);
    if let Kind::File(content) = &inode.kind
        && content.size > 0
    {
        inode.metadata.xattrs.remove(CAPABILITY);
    }
}

#[cfg(test)]
mod tests {
    use yadokari_tree::{Metadata, Timestamp, Xattrs};

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
        let mut tree = found.clone();
        tree.edit_all(owned_by_root);
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
