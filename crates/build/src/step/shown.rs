//! Parts of trees that commands see: where they are, or as copies.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::sync::Arc;

use yadokari_layer::Contents;
use yadokari_plan::Source;
use yadokari_rootfs::Root;
use yadokari_sandbox::MountSource;
use yadokari_tree::{Follow, Node, Tree, TreePath, diff};

use super::At;
use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};

/// A part of a tree that is to be seen by a command.
pub(crate) struct Shown {
    tree: Tree,
    root: Option<Arc<Root>>,
    path: TreePath,
    node: Node,
    source: Source,
}

impl Shown {
    pub(crate) async fn find(
        at: At<'_>,
        from: &Source,
        path: Option<&str>,
    ) -> Result<Self, BuildError> {
        let (tree, root) = at.source(from).await?;
        let asked = TreePath::parse(path.unwrap_or("/"));
        let missing = || BuildErrorKind::MountMissing(asked.to_string());
        let found = tree
            .resolve(asked.as_bytes(), Follow::All)
            .map_err(|_| missing())?;
        let node = found.node.ok_or_else(missing)?;
        Ok(Self {
            path: found.path,
            node,
            tree,
            root,
            source: from.clone(),
        })
    }

    /// The files where they are, if all of them are in one place.
    pub(crate) fn in_place(&self) -> Option<MountSource> {
        let path = self.root.as_ref()?.in_one_place(&self.path)?;
        Some(if self.node.is_directory() {
            MountSource::Directory(path)
        } else {
            MountSource::File(path)
        })
    }

    /// A copy that the command may do anything with.
    pub(crate) async fn copied(
        &self,
        at: At<'_>,
        directory: &Path,
        number: usize,
    ) -> Result<MountSource, BuildError> {
        let path = directory.join(format!("bind-{number}"));
        self.copy_to(at, &path).await?;
        Ok(if self.node.is_directory() {
            MountSource::Directory(path)
        } else {
            MountSource::File(path)
        })
    }

    pub(crate) async fn copy_to(&self, at: At<'_>, path: &Path) -> Result<(), BuildError> {
        let below = Below {
            root: self.root.clone(),
            prefix: self.path.clone(),
        };
        let (node, subtree) = (self.node.clone(), self.tree.subtree(&self.path));
        let (path, stay) = (path.to_owned(), at.work.stay_with(&self.source).await);
        blocking(move || {
            let copied = match subtree {
                Some(tree) => copy_tree(&tree, &below, &path),
                None => copy_file(&node, &below, &path),
            };
            drop(stay);
            copied
        })
        .await
    }
}

fn copy_tree(tree: &Tree, below: &Below, path: &Path) -> Result<(), BuildError> {
    let root = Root::create(path).map_err(|source| BuildError::disk(path, source))?;
    yadokari_rootfs::apply(&root, &diff(&Tree::empty(), tree), below)?;
    Ok(())
}

fn copy_file(node: &Node, below: &Below, path: &Path) -> Result<(), BuildError> {
    let failed = |source| BuildError::disk(path, source);
    let mut from = below.open(&TreePath::root(), node).map_err(failed)?;
    let mut to = fs::File::create_new(path).map_err(failed)?;
    io::copy(&mut from, &mut to).map_err(failed)?;
    let metadata = node.metadata();
    chown(path, Some(metadata.uid), Some(metadata.gid)).map_err(failed)?;
    to.set_permissions(fs::Permissions::from_mode(u32::from(metadata.mode)))
        .map_err(failed)
}

/// Files below a directory of a root, by their path from there.
struct Below {
    root: Option<Arc<Root>>,
    prefix: TreePath,
}

impl Contents for Below {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        match &self.root {
            Some(root) => root.open(&self.prefix.join(path.as_bytes()), node),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
