//! One source of a COPY while its files are put into a stage's tree.

use std::collections::HashMap;
use std::sync::Arc;

use yadokari_tree::{Name, Node, TreePath};

use super::Origin;
use super::origin::Folder;
use super::place::SourceRoot;

/// One source of a COPY: within it hard links stay hard links, across sources they do not.
pub(super) struct Operand<'a> {
    root: SourceRoot<'a>,
    links: HashMap<usize, Node>,
}

impl<'a> Operand<'a> {
    pub(super) fn new(root: SourceRoot<'a>) -> Self {
        Self {
            root,
            links: HashMap::new(),
        }
    }

    /// The copy of a source: the same one for every name of it.
    pub(super) fn copied(&mut self, source: &Node, copy: impl FnOnce() -> Node) -> Node {
        if !source.is_shared() {
            return copy();
        }
        let known = self.links.entry(source.identity());
        known.or_insert_with(copy).clone()
    }

    /// A directory of the source as one that files come from.
    pub(super) fn folder(&self, path: &TreePath) -> Option<Arc<Folder>> {
        let root = self.root?;
        Some(Arc::new(Folder::new(root, path.clone())))
    }

    /// Where a file's bytes are that gets this name.
    pub(super) fn named(&self, from: &TreePath, name: &Name) -> Origin {
        let parts = from.parent().zip(from.name());
        match parts.and_then(|(folder, own)| Some((self.folder(&folder)?, own))) {
            None => Origin::Empty,
            Some((folder, own)) if own == *name => Origin::Beside(folder),
            Some(source) => Origin::Named(Arc::new(source)),
        }
    }
}

/// A directory of the source and its place in the destination.
pub(super) struct Level<'a> {
    pub(super) node: &'a Node,
    pub(super) from: TreePath,
    pub(super) to: TreePath,
    /// Its path below the copied directory, as patterns see it.
    pub(super) relative: Vec<u8>,
}

impl Level<'_> {
    pub(super) fn relative_to(&self, name: &Name) -> Vec<u8> {
        let mut relative = Vec::with_capacity(self.relative.len() + 1 + name.len());
        relative.extend_from_slice(&self.relative);
        if !relative.is_empty() {
            relative.push(b'/');
        }
        relative.extend_from_slice(name);
        relative
    }

    pub(super) fn below<'a>(&self, name: &Name, node: &'a Node, relative: Vec<u8>) -> Level<'a> {
        Level {
            node,
            from: self.from.join(name),
            to: self.to.join(name),
            relative,
        }
    }
}
