//! Extraction of archives by ADD, straight into the stage's tree.

use std::io::{self, Read, Write};
use std::sync::Arc;

use yadokari_layer::{LayerReader, ReadError};
use yadokari_rootfs::Root;
use yadokari_tree::{
    ContentDigest, Entry, EntryKind, Follow, Kind, Metadata, Node, Tree, TreePath, Xattrs,
};

use super::origin::ScratchPath;
use super::{CopyFailure, Origin, Placement, shown};
use crate::state::Roots;

/// Why an archive could not be extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractFailure {
    /// The archive's content has no place.
    #[error(transparent)]
    Place(#[from] CopyFailure),
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A member's bytes cannot be kept.
    #[error("cannot keep a member of the archive")]
    Keep(#[source] io::Error),
    /// A member is a hard link to a file of the layers below, whose bytes were not at hand.
    #[error("{path}: the file that the archive links to is not at hand")]
    Below {
        /// The file.
        path: String,
    },
}

/// What an extraction needs besides the archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extraction<'a> {
    /// Where bytes are kept until the layer is written.
    pub(crate) scratch: &'a Arc<Roots>,
    /// The files of the layers below, if they are on disk. Only hard links to them need that.
    pub(crate) below: Option<&'a Arc<Root>>,
}

impl Placement<'_> {
    /// Puts the members of an archive below the destination, which becomes a directory.
    ///
    /// Names cannot leave the destination. Directories merge, anything else is replaced, a tree by a
    /// file too; links in the way are replaced and not followed.
    ///
    /// # Errors
    ///
    /// [`ExtractFailure::Below`] asks to be called again, on a placement of its own, with the files below.
    pub(crate) fn extract(
        &mut self,
        archive: LayerReader<'_>,
        extraction: Extraction<'_>,
        destination: &str,
    ) -> Result<(), ExtractFailure> {
        let target = self.target(destination)?.path;
        self.create_extraction_directory(&target)?;
        let mut archive = archive.with_whiteouts_as_files();
        let mut times = Vec::new();
        while let Some((entry, content)) = archive.next_entry()? {
            let Entry::Put {
                path,
                metadata,
                kind,
            } = entry
            else {
                continue;
            };
            if path.is_root() {
                continue;
            }
            let place = self.member_place(&target, &path)?;
            self.implied_parents(&target, &place)?;
            if matches!(kind, EntryKind::Directory) {
                times.push((place.clone(), metadata.mtime));
            }
            self.member(&place, metadata, kind, content, extraction, &target)?;
        }
        archive.finish()?;
        for (path, mtime) in times {
            self.set_mtime(&path, mtime);
        }
        Ok(())
    }

    /// The destination of an archive is made 0755 whatever `--chmod` says.
    fn create_extraction_directory(&mut self, target: &TreePath) -> Result<(), CopyFailure> {
        let chmod = self.rules.chmod.take();
        let made = self.create_directory(target);
        self.rules.chmod = chmod;
        made
    }

    /// Where a member goes: links among the directories above it are followed, inside the destination.
    ///
    /// What a link leads to is never made: only parents that are missing as written are implied.
    fn member_place(&self, target: &TreePath, member: &TreePath) -> Result<TreePath, CopyFailure> {
        let in_the_way = || CopyFailure::ArchiveParent {
            path: shown(&target.join(member.as_bytes())),
        };
        let below = self.tree.subtree(target).ok_or_else(in_the_way)?;
        let Some(parent) = member.parent() else {
            return Ok(target.clone());
        };
        let mut at = TreePath::root();
        for name in parent.components() {
            let next = at.join(name);
            at = match below.get(&next) {
                Some(node) if node.is_symlink() => {
                    directory_behind(&below, &next).ok_or_else(in_the_way)?
                }
                Some(node) if !node.is_directory() => return Err(in_the_way()),
                _ => next,
            };
        }
        let name = member.file_name().unwrap_or_default();
        Ok(target.join(at.join(name).as_bytes()))
    }

    /// Directories that members only imply belong to root, whatever `--chown` says.
    fn implied_parents(&mut self, target: &TreePath, place: &TreePath) -> Result<(), CopyFailure> {
        let mut parents: Vec<TreePath> = Vec::new();
        let mut at = place.parent();
        while let Some(path) = at.filter(|path| path != target && !path.is_root()) {
            at = path.parent();
            parents.push(path);
        }
        for path in parents.iter().rev() {
            match self.tree.get(path) {
                Some(node) if node.is_directory() => {}
                Some(_) => {
                    return Err(CopyFailure::ArchiveParent { path: shown(place) });
                }
                None => {
                    let metadata = Metadata {
                        mode: 0o755,
                        uid: 0,
                        gid: 0,
                        mtime: self.rules.now,
                        xattrs: Xattrs::default(),
                    };
                    self.put(path, Node::empty_directory(metadata));
                    self.touch_parent(path);
                }
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        place: &TreePath,
        metadata: Metadata,
        kind: EntryKind,
        content: &mut dyn Read,
        extraction: Extraction<'_>,
        target: &TreePath,
    ) -> Result<(), ExtractFailure> {
        let metadata = self.owned(&metadata);
        let node = match kind {
            EntryKind::Directory => {
                let existing = self.tree.get(place).filter(|node| node.is_directory());
                existing.map_or_else(
                    || Node::empty_directory(metadata.clone()),
                    |node| node.with_metadata(metadata.clone()),
                )
            }
            EntryKind::File { size } => {
                let (origin, digest) =
                    keep(content, extraction.scratch).map_err(ExtractFailure::Keep)?;
                self.note_origin(place, origin);
                Node::file_with_digest(metadata, size, digest)
            }
            EntryKind::HardLink(to) => {
                let to = self.member_place(target, &to)?;
                return self.hard_link(place, &to, metadata, extraction);
            }
            EntryKind::Symlink(to) => Node::symlink(metadata, to),
            EntryKind::CharDevice { major, minor } => {
                Node::new(metadata, Kind::CharDevice { major, minor })
            }
            EntryKind::BlockDevice { major, minor } => {
                Node::new(metadata, Kind::BlockDevice { major, minor })
            }
            EntryKind::Fifo => Node::new(metadata, Kind::Fifo),
        };
        self.put(place, node);
        self.touch_parent(place);
        Ok(())
    }

    /// Gives a file another name. The link's own header has the last word on the file's owner, mode and time.
    fn hard_link(
        &mut self,
        place: &TreePath,
        to: &TreePath,
        metadata: Metadata,
        extraction: Extraction<'_>,
    ) -> Result<(), ExtractFailure> {
        let node = self.tree.get(to).filter(|node| !node.is_directory());
        let node = node
            .cloned()
            .ok_or_else(|| CopyFailure::Missing { path: shown(to) })?;
        let origin = match (self.origin(to), node.is_file()) {
            (Some(origin), _) => Some(origin.clone()),
            (None, true) => Some(origin_below(to, extraction)?),
            (None, false) => None,
        };
        let relinked = relinked(&node, metadata);
        let names = [relinked.is_some().then_some(to), Some(place)];
        let node = relinked.unwrap_or(node);
        for name in names.into_iter().flatten() {
            if let Some(origin) = &origin {
                self.note_origin(name, origin.clone());
            }
            self.put(name, node.clone());
        }
        self.touch_parent(place);
        Ok(())
    }
}

/// The directory that a link leads to, if there is one.
fn directory_behind(tree: &Tree, link: &TreePath) -> Option<TreePath> {
    let found = tree.resolve(link.as_bytes(), Follow::All).ok()?;
    found
        .node
        .is_some_and(|node| node.is_directory())
        .then_some(found.path)
}

/// The file with the metadata of a link's header, if that is any different; a symbolic link keeps its mode and time.
fn relinked(node: &Node, header: Metadata) -> Option<Node> {
    let known = node.metadata();
    let wanted = if node.is_symlink() {
        Metadata {
            uid: header.uid,
            gid: header.gid,
            ..known.clone()
        }
    } else {
        Metadata {
            xattrs: known.xattrs.clone(),
            ..header
        }
    };
    (wanted != *known).then(|| node.with_metadata(wanted))
}

/// Copies the bytes of a file of the layers below: a later member may take its place.
fn origin_below(path: &TreePath, extraction: Extraction<'_>) -> Result<Origin, ExtractFailure> {
    let root = extraction.below.ok_or_else(|| ExtractFailure::Below {
        path: path.to_string(),
    })?;
    let mut file = root.open_file(path).map_err(ExtractFailure::Keep)?;
    let (origin, _) = keep(&mut file, extraction.scratch).map_err(ExtractFailure::Keep)?;
    Ok(origin)
}

/// Writes a member's bytes into a scratch file of its own.
fn keep(content: &mut dyn Read, scratch: &Arc<Roots>) -> io::Result<(Origin, ContentDigest)> {
    let (mut file, path) = tempfile::NamedTempFile::new_in(scratch.path())?.keep()?;
    let digest = copy_digesting(content, &mut file)?;
    Ok((
        Origin::File(Arc::new(ScratchPath {
            path,
            _directory: Some(Arc::clone(scratch)),
        })),
        digest,
    ))
}

/// Copies bytes and digests them on the way.
pub(crate) fn copy_digesting(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<ContentDigest> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    // Most files are small, and clearing a large buffer for each would take longer than reading it.
    let mut buffer = [0; 32 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(ContentDigest::from_bytes(hasher.finalize().into())),
            count => {
                hasher.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
