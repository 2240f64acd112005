//! Puts selected files into a stage's tree, by the rules of COPY.

use std::sync::Arc;

use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::value::mode::Mode;
use yadokari_rootfs::Root;
use yadokari_tree::{Follow, Kind, Metadata, Name, Node, Timestamp, Tree, TreePath, Xattrs};

use super::filter::{Filter, Include, Verdict};
use super::operand::{Level, Operand};
use super::select::WithParents;
use super::{CopyFailure, Origin, Origins, Selected, shown};

/// Who owns what a step creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
}

/// The flags of a COPY that change what is written.
#[derive(Debug, Clone)]
pub(crate) struct Rules<'a> {
    /// `--chown`, resolved; without it sources keep their owner and created directories belong to root.
    pub(crate) owner: Option<Owner>,
    /// `--chmod`.
    pub(crate) chmod: Option<&'a Mode>,
    /// `--exclude`.
    pub(crate) exclude: Option<&'a Patterns>,
    /// The time of everything the copy creates.
    pub(crate) now: Timestamp,
    /// Whether a file that the copy changes nothing of may be its own copy. Not where stages start from what is
    /// copied: there, it would be one more name of a file that they have already.
    pub(crate) shares: bool,
}

/// A stage's tree while a COPY or ADD changes it.
#[derive(Debug)]
pub(crate) struct Placement<'a> {
    start: Tree,
    pub(super) tree: Tree,
    pub(super) origins: Origins,
    pub(super) rules: Rules<'a>,
}

/// Where a copy goes: the path with all links resolved, and whether it must be a directory.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) path: TreePath,
    pub(super) is_directory: bool,
}

/// Where the bytes of a source tree are.
pub(crate) type SourceRoot<'a> = Option<&'a Arc<Root>>;

impl<'a> Placement<'a> {
    /// Starts from the tree that the stage has.
    pub(crate) fn new(tree: Tree, rules: Rules<'a>) -> Self {
        Self {
            start: tree.clone(),
            tree,
            origins: Origins::default(),
            rules,
        }
    }

    /// The tree after the copy, and where the bytes of its new files are.
    pub(crate) fn finish(self) -> (Tree, Origins) {
        (self.tree, self.origins)
    }

    /// Copies one selected thing: a file to the destination or into it, a directory's contents into it.
    pub(crate) fn copy(
        &mut self,
        selected: &Selected,
        root: SourceRoot<'_>,
        destination: &str,
    ) -> Result<(), CopyFailure> {
        let target = self.target(destination)?;
        if matches!(selected.node.kind(), Kind::Directory(_)) {
            return self.copy_directory(
                selected,
                root,
                &target,
                &Filter::excluding(self.rules.exclude),
            );
        }
        let path = if target.is_directory {
            target.path.join(&selected.name)
        } else {
            target.path
        };
        let (Some(folder), Some(name)) = (path.parent(), path.name()) else {
            return Err(CopyFailure::OntoDirectory { path: shown(&path) });
        };
        self.create_directory(&folder)?;
        let mut operand = Operand::new(root);
        let origin = operand.named(&selected.path, &name);
        self.place_file(&mut operand, &selected.node, origin, (&folder, &name))
    }

    /// Copies what a `--parents` source names, below the destination with its own directories.
    pub(crate) fn copy_with_parents(
        &mut self,
        source: &WithParents,
        root: SourceRoot<'_>,
        destination: &str,
    ) -> Result<(), CopyFailure> {
        let target = Target {
            path: self.target(destination)?.path,
            is_directory: true,
        };
        let include = Include::new(&source.pattern)?;
        let filter = Filter {
            include: Some(&include),
            exclude: self.rules.exclude,
        };
        self.copy_directory(&source.pivot, root, &target, &filter)
    }

    /// Makes sure that a directory exists, links on the way followed.
    pub(crate) fn directory(&mut self, path: &str) -> Result<(), CopyFailure> {
        let target = self.target(path)?;
        match self.tree.get(&target.path) {
            Some(node) if !node.is_directory() => Err(CopyFailure::NotDirectory {
                path: shown(&target.path),
            }),
            _ => self.create_directory(&target.path),
        }
    }

    /// Writes a file that no tree holds: a heredoc, a download.
    pub(crate) fn write(
        &mut self,
        name: &str,
        size: u64,
        metadata: Metadata,
        origin: Origin,
        destination: &str,
    ) -> Result<(), CopyFailure> {
        let target = self.target(destination)?;
        let path = if target.is_directory {
            target.path.join(name.as_bytes())
        } else {
            target.path
        };
        self.create_parents(&path)?;
        self.refuse_directory(&path)?;
        let metadata = self.dressed(&metadata, false);
        self.put(&path, Node::file(metadata, size));
        self.note_origin(&path, origin);
        self.touch_parent(&path);
        Ok(())
    }

    /// Resolves a destination: links are followed, the last one too.
    pub(super) fn target(&self, destination: &str) -> Result<Target, CopyFailure> {
        let bytes = destination.as_bytes();
        let found = self
            .tree
            .resolve(bytes, Follow::All)
            .map_err(|error| CopyFailure::unresolved(bytes, error))?;
        let exists = found
            .node
            .as_ref()
            .is_some_and(|node| matches!(node.kind(), Kind::Directory(_)));
        let asked = destination.ends_with('/') || destination.ends_with("/.");
        if asked && found.node.is_some() && !exists {
            return Err(CopyFailure::NotDirectory {
                path: shown(&found.path),
            });
        }
        Ok(Target {
            path: found.path,
            is_directory: exists || asked,
        })
    }

    /// Copies what is below a directory into the target, which takes the directory's time.
    fn copy_directory(
        &mut self,
        selected: &Selected,
        root: SourceRoot<'_>,
        target: &Target,
        filter: &Filter<'_>,
    ) -> Result<(), CopyFailure> {
        if let Some(existing) = self.tree.get(&target.path)
            && !matches!(existing.kind(), Kind::Directory(_))
        {
            return Err(CopyFailure::OntoNonDirectory {
                path: shown(&target.path),
            });
        }
        self.create_directory(&target.path)?;
        let mut operand = Operand::new(root);
        let level = Level {
            node: &selected.node,
            from: selected.path.clone(),
            to: target.path.clone(),
            relative: Vec::new(),
        };
        self.copy_children(&mut operand, &level, filter, &mut Vec::new())?;
        let mtime = selected.node.metadata().mtime;
        self.set_mtime(&target.path, mtime);
        self.compact(&target.path);
        Ok(())
    }

    /// Entries that were put in one after the other take nearly twice the room of those that are put in at once.
    fn compact(&mut self, directory: &TreePath) {
        if let Some((_, children)) = self.tree.directory_mut(directory) {
            *children = std::mem::take(children).into_iter().collect();
        }
    }

    /// Copies the entries of one directory. `pending` are the directories above it that only exist once
    /// something in them does.
    fn copy_children(
        &mut self,
        operand: &mut Operand<'_>,
        level: &Level<'_>,
        filter: &Filter<'_>,
        pending: &mut Vec<(TreePath, Node)>,
    ) -> Result<(), CopyFailure> {
        let Kind::Directory(children) = level.node.kind() else {
            return Ok(());
        };
        let folder = operand.folder(&level.from);
        for (name, child) in children {
            let relative = level.relative_to(name);
            let verdict = filter.verdict(&relative)?;
            match (verdict, child.kind()) {
                (Verdict::Skip, _) | (Verdict::Through, Kind::File(_)) => {}
                (Verdict::Take, Kind::Directory(_)) => {
                    let below = level.below(name, child, relative);
                    self.create_pending(pending)?;
                    self.enter_directory(child, &below.to)?;
                    self.copy_children(operand, &below, filter, &mut Vec::new())?;
                    self.set_mtime(&below.to, child.metadata().mtime);
                    self.compact(&below.to);
                }
                (Verdict::Through, Kind::Directory(_)) => {
                    let below = level.below(name, child, relative);
                    let depth = pending.len();
                    pending.push((below.to.clone(), child.clone()));
                    self.copy_children(operand, &below, filter, pending)?;
                    pending.truncate(depth.min(pending.len()));
                }
                (Verdict::Through, _) => {}
                (Verdict::Take, _) => {
                    self.create_pending(pending)?;
                    let origin = folder.clone().map_or(Origin::Empty, Origin::Beside);
                    self.place_file(operand, child, origin, (&level.to, name))?;
                }
            }
        }
        Ok(())
    }

    fn create_pending(&mut self, pending: &mut Vec<(TreePath, Node)>) -> Result<(), CopyFailure> {
        for (path, source) in pending.drain(..) {
            self.enter_directory(&source, &path)?;
            let now = self.rules.now;
            self.set_mtime(&path, now);
        }
        Ok(())
    }

    /// Makes a copied directory: a new one, or an existing one that takes the source's metadata.
    fn enter_directory(&mut self, source: &Node, path: &TreePath) -> Result<(), CopyFailure> {
        let metadata = self.dressed(source.metadata(), true);
        match self.tree.get(path) {
            Some(existing) if matches!(existing.kind(), Kind::Directory(_)) => {
                let changed = existing.with_metadata(metadata);
                self.put(path, changed);
            }
            Some(_) => {
                return Err(CopyFailure::OntoNonDirectory { path: shown(path) });
            }
            None => {
                self.put(path, Node::empty_directory(metadata));
                self.touch_parent(path);
            }
        }
        Ok(())
    }

    /// Puts anything but a directory into a directory that exists, under a name.
    fn place_file(
        &mut self,
        operand: &mut Operand<'_>,
        source: &Node,
        origin: Origin,
        (folder, name): (&TreePath, &Name),
    ) -> Result<(), CopyFailure> {
        let node = operand.copied(source, || self.copied(source));
        let (metadata, children) = self
            .tree
            .directory_mut(folder)
            .expect("it was made or found to be a directory before");
        if children.get(name).is_some_and(Node::is_directory) {
            let path = shown(&folder.join(name));
            return Err(CopyFailure::OntoDirectory { path });
        }
        metadata.mtime = self.rules.now;
        let is_file = node.is_file();
        children.insert(name.clone(), node);
        if is_file {
            let origin = if source.is_socket() {
                Origin::Empty
            } else {
                origin
            };
            self.origins.insert(folder, name.clone(), origin);
        }
        Ok(())
    }

    /// The node a source becomes: sockets are empty files and block devices character devices, as the
    /// reference has them.
    fn copied(&self, source: &Node) -> Node {
        let is_link = matches!(source.kind(), Kind::Symlink(_));
        let metadata = if is_link {
            self.owned(source.metadata())
        } else {
            self.dressed(source.metadata(), false)
        };
        match source.kind() {
            Kind::Socket => Node::file(metadata, 0),
            Kind::BlockDevice { major, minor } => Node::new(
                metadata,
                Kind::CharDevice {
                    major: *major,
                    minor: *minor,
                },
            ),
            _ if self.may_share(source) && metadata == *source.metadata() => source.clone(),
            kind => Node::new(metadata, kind.clone()),
        }
    }

    /// Nothing else holds a file that is copied for the first time, so that no name in any stage can become a hard
    /// link of its copy.
    fn may_share(&self, source: &Node) -> bool {
        self.rules.shares && !source.is_shared()
    }

    pub(super) fn owned(&self, metadata: &Metadata) -> Metadata {
        let mut metadata = metadata.clone();
        if let Some(owner) = self.rules.owner {
            metadata.uid = owner.uid;
            metadata.gid = owner.gid;
        }
        metadata
    }

    /// Metadata with `--chown` and `--chmod` applied.
    fn dressed(&self, metadata: &Metadata, is_directory: bool) -> Metadata {
        let mut metadata = self.owned(metadata);
        if let Some(chmod) = self.rules.chmod {
            metadata.mode = chmod.apply(metadata.mode, is_directory);
        }
        metadata
    }

    /// Metadata of a directory that no source brings.
    fn created(&self) -> Metadata {
        let mode = match self.rules.chmod {
            Some(Mode::Octal(mode)) => mode & 0o777,
            _ => 0o755,
        };
        let owner = self.rules.owner.unwrap_or(Owner { uid: 0, gid: 0 });
        Metadata {
            mode,
            uid: owner.uid,
            gid: owner.gid,
            mtime: self.rules.now,
            xattrs: Xattrs::default(),
        }
    }

    pub(super) fn create_parents(&mut self, path: &TreePath) -> Result<(), CopyFailure> {
        match path.parent() {
            Some(parent) => self.create_directory(&parent),
            None => Ok(()),
        }
    }

    /// Makes sure that a directory exists, and all above it. The path is resolved already.
    pub(super) fn create_directory(&mut self, path: &TreePath) -> Result<(), CopyFailure> {
        let mut at = TreePath::root();
        for name in path.components() {
            at = at.join(name);
            match self.tree.get(&at) {
                Some(node) if matches!(node.kind(), Kind::Directory(_)) => {}
                Some(_) => {
                    return Err(CopyFailure::NotDirectory { path: shown(&at) });
                }
                None => {
                    self.put(&at, Node::empty_directory(self.created()));
                    self.touch_parent(&at);
                }
            }
        }
        Ok(())
    }

    /// Puts a node where its parents are directories already.
    pub(super) fn put(&mut self, path: &TreePath, node: Node) {
        self.tree
            .insert(path, node)
            .expect("parents were made or found to be directories before");
    }

    /// Where the bytes of the file at a path are, if this step put it there.
    pub(super) fn origin(&self, path: &TreePath) -> Option<&Origin> {
        let (before, now) = (self.start.get(path), self.tree.get(path)?);
        let is_new = !before.is_some_and(|before| before.same(now));
        is_new.then(|| self.origins.get(path)).flatten()
    }

    /// Notes where the bytes of the file at a path are.
    pub(super) fn note_origin(&mut self, path: &TreePath, origin: Origin) {
        if let (Some(folder), Some(name)) = (path.parent(), path.name()) {
            self.origins.insert(&folder, name, origin);
        }
    }

    fn refuse_directory(&self, path: &TreePath) -> Result<(), CopyFailure> {
        match self.tree.get(path) {
            Some(node) if matches!(node.kind(), Kind::Directory(_)) => {
                Err(CopyFailure::OntoDirectory { path: shown(path) })
            }
            _ => Ok(()),
        }
    }

    /// A directory's time changes when an entry is made in it.
    pub(super) fn touch_parent(&mut self, path: &TreePath) {
        if let Some(parent) = path.parent() {
            let now = self.rules.now;
            self.set_mtime(&parent, now);
        }
    }

    pub(super) fn set_mtime(&mut self, path: &TreePath, mtime: Timestamp) {
        if let Some(metadata) = self.tree.metadata_mut(path) {
            metadata.mtime = mtime;
        }
    }
}
