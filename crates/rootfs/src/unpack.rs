//! Writing the members of layer archives to disk, in step with a tree.

use std::io::Read;

use yadokari_layer::LayerReader;
use yadokari_tree::{
    Applied, ContentDigest, Entry, EntryKind, Follow, Metadata, Node, Tree, TreePath,
};

use crate::body::write_body;
use crate::clone::copy_bytes;
use crate::error::{At, UnpackError};
use crate::place::{Placer, Shortfalls};
use crate::root::Root;

/// What unpacking came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
    /// Members of the archives, whiteouts included.
    pub entries: u64,
    /// Bytes written into files.
    pub bytes: u64,
    /// What the disk lacks and only the tree tells.
    pub shortfalls: Shortfalls,
}

/// Unpacks one layer on top of what `tree` says is on disk.
///
/// The reader is left at the end of the archive, for its owner to finish.
///
/// # Errors
///
/// As [`Unpacker::put`], and when the archive cannot be read. Disk and tree
/// then hold a part of the layer.
pub fn unpack(
    root: &Root,
    tree: &mut Tree,
    archive: &mut LayerReader<'_>,
) -> Result<Unpacked, UnpackError> {
    let mut unpacker = Unpacker::new(root, std::mem::take(tree));
    let done = put_all(&mut unpacker, archive);
    let (unpacked_tree, report) = unpacker.finish_with(done);
    *tree = unpacked_tree;
    report
}

fn put_all(unpacker: &mut Unpacker<'_>, archive: &mut LayerReader<'_>) -> Result<(), UnpackError> {
    while let Some((entry, content)) = archive.next_entry()? {
        unpacker.put(&entry, content)?;
    }
    Ok(())
}

/// Puts entries onto a tree and makes the disk below a root follow it.
///
/// The tree decides where a name really is and what it replaces, with the
/// symlinks of the image resolved inside the image; the disk is then changed at
/// that real path without following any link. Directories get their metadata
/// in [`Unpacker::finish`].
#[derive(Debug)]
pub struct Unpacker<'r> {
    tree: Tree,
    lower: Tree,
    placer: Placer<'r>,
    buffer: Box<[u8]>,
    entries: u64,
    bytes: u64,
}

impl<'r> Unpacker<'r> {
    /// Starts one layer on a root whose content is `tree`.
    pub fn new(root: &'r Root, tree: Tree) -> Self {
        Self {
            lower: tree.clone(),
            tree,
            placer: Placer::new(root),
            buffer: vec![0; BUFFER_SIZE].into_boxed_slice(),
            entries: 0,
            bytes: 0,
        }
    }

    /// What is on disk now counts as lower layers: whiteouts hide it.
    pub fn next_layer(&mut self) {
        self.lower = self.tree.clone();
    }

    /// Puts one entry; `content` gives the bytes of a file and is read to its
    /// end, for other entries it is not looked at.
    ///
    /// The digest of a file's bytes is recorded in its node.
    ///
    /// # Errors
    ///
    /// An entry that does not fit the tree changes nothing. After any other
    /// error the disk may lack what the tree has.
    pub fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), UnpackError> {
        self.entries += 1;
        let link_target = self.link_target(entry)?;
        let applied = self.tree.apply_over(&self.lower, entry)?;
        self.make_parents(&applied)?;
        match entry {
            Entry::Whiteout { .. } | Entry::Opaque { .. } => self.remove(&applied),
            Entry::Put { metadata, kind, .. } => match link_target {
                Some(target) => self.link(&applied, &target),
                None => self.place(&applied, metadata, kind, content),
            },
        }
    }

    /// Where a hard link's target is on disk, asked before the link may take
    /// its place in the tree.
    fn link_target(&self, entry: &Entry) -> Result<Option<TreePath>, UnpackError> {
        let Entry::Put {
            path,
            kind: EntryKind::HardLink(target),
            ..
        } = entry
        else {
            return Ok(None);
        };
        let resolved = self.tree.resolve(target, Follow::Parents);
        let missing = |_| UnpackError::LinkTarget {
            path: path.clone(),
            target: target.clone(),
        };
        Ok(Some(resolved.map_err(missing)?.path))
    }

    fn make_parents(&mut self, applied: &Applied) -> Result<(), UnpackError> {
        applied
            .parents
            .iter()
            .try_for_each(|parent| self.placer.directory(parent))
    }

    fn remove(&mut self, applied: &Applied) -> Result<(), UnpackError> {
        applied
            .removed
            .iter()
            .try_for_each(|path| self.placer.remove(path))
    }

    fn place(
        &mut self,
        applied: &Applied,
        metadata: &Metadata,
        kind: &EntryKind,
        content: &mut dyn Read,
    ) -> Result<(), UnpackError> {
        let path = &applied.path;
        let Some(node) = &applied.node else {
            return Ok(());
        };
        match kind {
            EntryKind::Directory => self.placer.directory(path),
            EntryKind::File { size } => {
                let digest = self.file(path, metadata, *size, content)?;
                record(node, digest);
                Ok(())
            }
            _ => self.placer.special(path, metadata, node.kind()),
        }
    }

    fn file(
        &mut self,
        path: &TreePath,
        metadata: &Metadata,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<ContentDigest, UnpackError> {
        let buffer = &mut self.buffer;
        let digest = self.placer.file(path, metadata, |file| {
            write_body(path, size, content, file, buffer)
        })?;
        self.bytes += size;
        Ok(digest)
    }

    fn link(&mut self, applied: &Applied, target: &TreePath) -> Result<(), UnpackError> {
        if self.placer.link(&applied.path, target)? {
            return Ok(());
        }
        // The filesystem allows no more names for this inode.
        let Some(node) = &applied.node else {
            return Ok(());
        };
        let root = self.placer.root;
        let mut source = root.open_file(target).at("open", target)?;
        self.placer.file(&applied.path, node.metadata(), |file| {
            Ok(copy_bytes(&mut source, file).at("write", &applied.path)?)
        })
    }

    /// Gives directories their metadata and returns the tree.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn finish(self) -> Result<(Tree, Unpacked), UnpackError> {
        let (tree, report) = self.finish_with(Ok(()));
        report.map(|report| (tree, report))
    }

    fn finish_with(
        mut self,
        done: Result<(), UnpackError>,
    ) -> (Tree, Result<Unpacked, UnpackError>) {
        let report = done.and_then(|()| self.describe_directories());
        (self.tree, report)
    }

    fn describe_directories(&mut self) -> Result<Unpacked, UnpackError> {
        let tree = &self.tree;
        self.placer.finish(|path| {
            let node = tree.get(path).filter(|node| node.is_directory());
            node.map(Node::metadata)
        })?;
        Ok(Unpacked {
            entries: self.entries,
            bytes: self.bytes,
            shortfalls: self.placer.shortfalls,
        })
    }
}

/// Notes what a file's bytes were when they were written.
pub(crate) fn record(node: &Node, digest: ContentDigest) {
    if let Some(content) = node.content() {
        content.set_digest(digest);
    }
}

pub(crate) const BUFFER_SIZE: usize = 256 * 1024;
