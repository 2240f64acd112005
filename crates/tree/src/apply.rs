//! Putting the members of a layer onto a tree.

use crate::{
    Entry, EntryKind, FileContent, Follow, InsertError, Kind, Metadata, Node, ResolveError, Tree,
    TreePath,
};

/// What applying an entry did, for whoever keeps a disk in step.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The real path: symlinks above the last component are resolved.
    pub path: TreePath,
    /// The node that is there now; `None` after a whiteout. Drop it before the
    /// next entry: holding a directory's node makes the next edit copy it.
    pub node: Option<Node>,
    /// The node that was there, entries included, before it was replaced or
    /// removed. A directory that only got new metadata is not here.
    pub replaced: Option<Node>,
    /// Names that are gone, in path order; of a removed directory only itself.
    /// Holds `path` if that was replaced by another kind of node, or removed.
    pub removed: Vec<TreePath>,
    /// Directories that were implied and made on the way, parents first.
    pub parents: Vec<TreePath>,
}

/// An entry that does not fit the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The directory of the entry cannot be reached.
    #[error("cannot reach `{path}`")]
    Unreachable {
        /// The entry's name.
        path: TreePath,
        /// Why.
        source: ResolveError,
    },
    /// Something else than a directory was to become the root.
    #[error("the root of a tree can only be a directory")]
    RootNotDirectory,
    /// The root was to be removed.
    #[error("a whiteout names the root of the tree")]
    RootRemoved,
    /// A hard link to a name that does not exist.
    #[error("`{path}` is a hard link to `{target}`, which does not exist")]
    LinkTargetMissing {
        /// The entry's name.
        path: TreePath,
        /// The name it links to.
        target: TreePath,
    },
    /// A hard link to a directory.
    #[error("`{path}` is a hard link to `{target}`, which is a directory")]
    LinkToDirectory {
        /// The entry's name.
        path: TreePath,
        /// The name it links to.
        target: TreePath,
    },
}

impl Tree {
    /// Puts one entry onto the tree; everything in the tree counts as a lower layer.
    ///
    /// Parent symlinks are followed inside the tree, a symlink in the last place
    /// is replaced. Missing parents become `0755 0:0`. A directory keeps the
    /// entries it has; any other kind replaces what is there. The root stays as
    /// it is: a layer says nothing about it.
    ///
    /// # Errors
    ///
    /// If the entry does not fit; the tree is unchanged then.
    pub fn apply(&mut self, entry: &Entry) -> Result<Applied, ApplyError> {
        match entry {
            Entry::Put {
                path,
                metadata,
                kind,
            } => self.put(path, metadata, kind),
            // A whiteout compares with a version of the tree; a put must not
            // hold one, or every entry would copy its directory.
            _ => self.apply_over(&self.clone(), entry),
        }
    }

    /// [`apply`](Self::apply) for one entry out of a layer that started from
    /// `lower`: whiteouts hide what `lower` has and leave what the same layer
    /// put, in whatever order the archive names them.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn apply_over(&mut self, lower: &Self, entry: &Entry) -> Result<Applied, ApplyError> {
        match entry {
            Entry::Put {
                path,
                metadata,
                kind,
            } => self.put(path, metadata, kind),
            Entry::Whiteout { path } if path.is_root() => Err(ApplyError::RootRemoved),
            Entry::Whiteout { path } => self.hide(lower, self.located(path)?),
            Entry::Opaque { directory } => self.hide_children(lower, directory),
        }
    }

    fn put(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        kind: &EntryKind,
    ) -> Result<Applied, ApplyError> {
        let real = self.located(path)?;
        let node = match kind {
            EntryKind::Directory => return self.put_directory(path, real, metadata),
            EntryKind::HardLink(target) => self.link_target(path, target)?,
            other => Node::new(metadata.clone(), plain_kind(other)),
        };
        self.put_node(path, real, node)
    }

    fn put_directory(
        &mut self,
        asked: &TreePath,
        real: TreePath,
        metadata: &Metadata,
    ) -> Result<Applied, ApplyError> {
        if !self.get(&real).is_some_and(Node::is_directory) {
            return self.put_node(asked, real, Node::empty_directory(metadata.clone()));
        }
        if !real.is_root() {
            *self.metadata_mut(&real).expect("looked up above") = metadata.clone();
        }
        let node = self.get(&real).cloned();
        Ok(Applied {
            path: real,
            node,
            replaced: None,
            removed: Vec::new(),
            parents: Vec::new(),
        })
    }

    fn put_node(
        &mut self,
        asked: &TreePath,
        real: TreePath,
        node: Node,
    ) -> Result<Applied, ApplyError> {
        let parents = self.missing_parents(&real);
        let replaced = self
            .insert(&real, node.clone())
            .map_err(|error| refused(asked, error))?;
        let removed = replaced.iter().map(|_| real.clone()).collect();
        Ok(Applied {
            path: real,
            node: Some(node),
            replaced,
            removed,
            parents,
        })
    }

    fn hide(&mut self, lower: &Self, path: TreePath) -> Result<Applied, ApplyError> {
        let replaced = self.get(&path).cloned();
        let removed = self.remove_lower(lower, &path);
        Ok(Applied {
            node: self.get(&path).cloned(),
            path,
            replaced,
            removed,
            parents: Vec::new(),
        })
    }

    fn hide_children(&mut self, lower: &Self, directory: &TreePath) -> Result<Applied, ApplyError> {
        let path = self.located(directory)?;
        let children = self.get(&path).and_then(Node::children);
        let names: Vec<_> = children
            .into_iter()
            .flat_map(|children| children.keys().cloned())
            .collect();
        let removed = names
            .iter()
            .flat_map(|name| self.remove_lower(lower, &path.join(name)))
            .collect();
        Ok(Applied {
            node: self.get(&path).cloned(),
            path,
            replaced: None,
            removed,
            parents: Vec::new(),
        })
    }

    /// Removes what is below and at `path` and came from `lower`. A node the
    /// layer put is never the node `lower` has under that name, so identity tells.
    fn remove_lower(&mut self, lower: &Self, path: &TreePath) -> Vec<TreePath> {
        let mut removed = Vec::new();
        let mut pending = vec![path.clone()];
        while let Some(path) = pending.pop() {
            let (Some(now), Some(old)) = (self.get(&path), lower.get(&path)) else {
                continue;
            };
            if now.same(old) {
                self.remove(&path);
                removed.push(path);
            } else if let (Some(children), true) = (now.children(), old.is_directory()) {
                pending.extend(children.keys().rev().map(|name| path.join(name)));
            }
        }
        removed
    }

    fn link_target(&self, path: &TreePath, target: &TreePath) -> Result<Node, ApplyError> {
        let real = self.located(target)?;
        match self.get(&real) {
            None => Err(ApplyError::LinkTargetMissing {
                path: path.clone(),
                target: target.clone(),
            }),
            Some(node) if node.is_directory() => Err(ApplyError::LinkToDirectory {
                path: path.clone(),
                target: target.clone(),
            }),
            Some(node) => Ok(node.clone()),
        }
    }

    fn located(&self, path: &TreePath) -> Result<TreePath, ApplyError> {
        let resolved = self.resolve(path, Follow::Parents);
        let resolved = resolved.map_err(|source| ApplyError::Unreachable {
            path: path.clone(),
            source,
        })?;
        Ok(resolved.path)
    }

    fn missing_parents(&self, path: &TreePath) -> Vec<TreePath> {
        path.ancestors()
            .filter(|parent| !self.contains(parent))
            .collect()
    }
}

fn refused(path: &TreePath, error: InsertError) -> ApplyError {
    match error {
        InsertError::RootNotDirectory => ApplyError::RootNotDirectory,
        InsertError::ParentNotDirectory { path: parent } => ApplyError::Unreachable {
            path: path.clone(),
            source: ResolveError::NotDirectory { path: parent },
        },
    }
}

fn plain_kind(kind: &EntryKind) -> Kind {
    match kind {
        EntryKind::Directory | EntryKind::HardLink(_) => Kind::Directory(Default::default()),
        EntryKind::File { size } => Kind::File(FileContent::new(*size)),
        EntryKind::Symlink(target) => Kind::Symlink(target.clone()),
        EntryKind::CharDevice { major, minor } => Kind::CharDevice {
            major: *major,
            minor: *minor,
        },
        EntryKind::BlockDevice { major, minor } => Kind::BlockDevice {
            major: *major,
            minor: *minor,
        },
        EntryKind::Fifo => Kind::Fifo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    fn put(path: &str, kind: EntryKind) -> Entry {
        Entry::Put {
            path: path.into(),
            metadata: Metadata::new(0o600),
            kind,
        }
    }

    fn file(path: &str) -> Entry {
        put(path, EntryKind::File { size: 1 })
    }

    fn whiteout(path: &str) -> Entry {
        Entry::Whiteout { path: path.into() }
    }

    fn opaque(path: &str) -> Entry {
        Entry::Opaque {
            directory: path.into(),
        }
    }

    fn layered(before: &str, entries: &[Entry]) -> (Tree, Vec<String>) {
        let lower = tree(before);
        let mut upper = lower.clone();
        let mut removed = Vec::new();
        for entry in entries {
            let applied = upper.apply_over(&lower, entry).unwrap();
            removed.extend(applied.removed.iter().map(ToString::to_string));
        }
        (upper, removed)
    }

    #[test]
    fn parents_are_resolved_and_made() {
        let mut changed = tree("/usr/lib/ 0755\n/lib -> usr/lib\n/lost -> /no/where");
        let applied = changed.apply(&file("/lib/a/b/f")).unwrap();
        assert_eq!(applied.path, "/usr/lib/a/b/f".into());
        assert_eq!(
            applied.parents,
            ["/usr/lib/a", "/usr/lib/a/b"].map(TreePath::from)
        );
        assert_eq!(applied.removed, []);
        assert_eq!(
            changed.apply(&file("/lost/f")).unwrap().path,
            "/no/where/f".into()
        );
    }

    #[test]
    fn a_link_in_the_last_place_is_replaced() {
        let (after, removed) = layered("/d/f 0644 x\n/l -> d", &[put("/l", EntryKind::Directory)]);
        assert_eq!(after, tree("/d/f 0644 x\n/l/ 0600"));
        assert_eq!(removed, ["/l"]);
    }

    #[test]
    fn directories_keep_their_entries_and_other_kinds_replace() {
        let before = "/d/f 0644 x";
        let (after, removed) = layered(before, &[put("/d", EntryKind::Directory)]);
        assert_eq!(after, tree("/d/ 0600\n/d/f 0644 x"));
        assert!(removed.is_empty());
        let (after, removed) = layered(before, &[put("/d", EntryKind::Fifo)]);
        assert_eq!(after, tree("/d 0600 <fifo>"));
        assert_eq!(removed, ["/d"]);
        let (after, _) = layered(before, &[put("/", EntryKind::Directory)]);
        assert_eq!(after, tree("/d/f 0644 x"));
    }

    #[test]
    fn hard_links_share_the_node() {
        let link = put("/l/g", EntryKind::HardLink("/l/f".into()));
        let (after, _) = layered("/d/f 0644 x\n/l -> d", &[link]);
        assert_eq!(after, tree("/d/f 0644 x\n/d/g => /d/f\n/l -> d"));
    }

    #[test]
    fn a_whiteout_hides_only_lower_layers() {
        let before = "/d/e/x 0644 x\n/d/f 0644 x\n/d/g 0644 x";
        let (after, removed) = layered(before, &[whiteout("/d")]);
        assert_eq!((after, removed), (Tree::empty(), vec!["/d".to_owned()]));
        let (after, removed) = layered(before, &[file("/d/e/new"), file("/d/f"), whiteout("/d")]);
        assert_eq!(after, tree("/d/e/new 0600 <file 1>\n/d/f 0600 <file 1>"));
        assert_eq!(removed, ["/d/f", "/d/e/x", "/d/g"]);
        let (after, _) = layered(
            before,
            &[file("/d/f"), whiteout("/d/f"), whiteout("/d/missing")],
        );
        assert!(after.contains(&"/d/f".into()));
    }

    #[test]
    fn an_opaque_whiteout_hides_only_lower_layers() {
        let before = "/d/e/x 0644 x\n/d/f 0644 x";
        for entries in [
            [file("/d/new"), opaque("/d")],
            [opaque("/d"), file("/d/new")],
        ] {
            assert_eq!(layered(before, &entries).0, tree("/d/new 0600 <file 1>"));
        }
        let (after, removed) = layered(before, &[opaque("/missing"), opaque("/d/f")]);
        assert_eq!((after, removed), (tree(before), vec![]));
    }

    #[test]
    fn what_does_not_fit_leaves_the_tree_alone() {
        let before = tree("/f 0644 x\n/d/ 0755\n/loop -> loop");
        let link = |target: &str| put("/h", EntryKind::HardLink(target.into()));
        for (entry, expected) in [
            (file("/f/x"), "cannot reach `/f/x`"),
            (file("/loop/x"), "cannot reach `/loop/x`"),
            (file("/"), "the root of a tree can only be a directory"),
            (whiteout("/"), "a whiteout names the root of the tree"),
            (
                link("/missing"),
                "`/h` is a hard link to `/missing`, which does not exist",
            ),
            (
                link("/d"),
                "`/h` is a hard link to `/d`, which is a directory",
            ),
        ] {
            let mut after = before.clone();
            assert_eq!(after.apply(&entry).unwrap_err().to_string(), expected);
            assert_eq!(after, before);
        }
    }
}
