//! Extraction of archives by ADD, straight into the stage's tree.

use std::io::{self, Read, Write};
use std::sync::Arc;

use yadokari_layer::{LayerReader, ReadError};
use yadokari_tree::{ContentDigest, Entry, EntryKind, Kind, Metadata, Node, TreePath, Xattrs};

use super::origin::ScratchPath;
use super::{CopyFailure, Origin, Placement};

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
}

impl Placement<'_> {
    /// Puts the members of an archive below the destination, which becomes a directory.
    ///
    /// Names cannot leave the destination. Directories merge, anything else is replaced, a tree by a
    /// file too; links in the way are replaced and not followed. Bytes are kept in `scratch` until the
    /// layer is written.
    pub(crate) fn extract(
        &mut self,
        archive: LayerReader<'_>,
        scratch: &Arc<tempfile::TempDir>,
        destination: &str,
    ) -> Result<(), ExtractFailure> {
        let target = self.target(destination)?.path;
        self.create_extraction_directory(&target)?;
        let mut archive = archive.with_whiteouts_as_files();
        let mut times = Vec::new();
        while let Some((entry, content)) = archive.next_entry()? {
            let Entry::Put { path, metadata, kind } = entry else { continue };
            if path.is_root() {
                continue;
            }
            let place = target.join(path.as_bytes());
            self.implied_parents(&target, &place)?;
            if matches!(kind, EntryKind::Directory) {
                times.push((place.clone(), metadata.mtime));
            }
            self.member(&place, metadata, kind, content, scratch, &target)?;
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
                Some(_) => return Err(CopyFailure::ArchiveParent { path: place.to_string() }),
                None => {
                    let metadata = Metadata { mode: 0o755, uid: 0, gid: 0, mtime: self.rules.now, xattrs: Xattrs::default() };
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
        scratch: &Arc<tempfile::TempDir>,
        target: &TreePath,
    ) -> Result<(), ExtractFailure> {
        let metadata = self.owned(&metadata);
        let node = match kind {
            EntryKind::Directory => {
                let existing = self.tree.get(place).filter(|node| node.is_directory());
                existing.map_or_else(|| Node::empty_directory(metadata.clone()), |node| node.with_metadata(metadata.clone()))
            }
            EntryKind::File { size } => {
                let (origin, digest) = keep(content, scratch).map_err(ExtractFailure::Keep)?;
                self.origins.insert(place.clone(), origin);
                Node::file_with_digest(metadata, size, digest)
            }
            EntryKind::HardLink(to) => return Ok(self.hard_link(place, &target.join(to.as_bytes()))?),
            EntryKind::Symlink(to) => Node::symlink(metadata, to),
            EntryKind::CharDevice { major, minor } => Node::new(metadata, Kind::CharDevice { major, minor }),
            EntryKind::BlockDevice { major, minor } => Node::new(metadata, Kind::BlockDevice { major, minor }),
            EntryKind::Fifo => Node::new(metadata, Kind::Fifo),
        };
        self.put(place, node);
        self.touch_parent(place);
        Ok(())
    }

    fn hard_link(&mut self, place: &TreePath, to: &TreePath) -> Result<(), CopyFailure> {
        let missing = || CopyFailure::Missing { path: to.to_string() };
        let node = self.tree.get(to).filter(|node| !node.is_directory()).cloned().ok_or_else(missing)?;
        if let Some(origin) = self.origins.get(to).cloned() {
            self.origins.insert(place.clone(), origin);
        }
        self.put(place, node);
        self.touch_parent(place);
        Ok(())
    }
}

/// Writes a member's bytes into a scratch file of its own.
fn keep(content: &mut dyn Read, scratch: &Arc<tempfile::TempDir>) -> io::Result<(Origin, ContentDigest)> {
    let (mut file, path) = tempfile::NamedTempFile::new_in(scratch.path())?.keep()?;
    let digest = copy_digesting(content, &mut file)?;
    Ok((Origin::File(Arc::new(ScratchPath { path, _directory: Some(Arc::clone(scratch)) })), digest))
}

/// Copies bytes and digests them on the way.
pub(crate) fn copy_digesting(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<ContentDigest> {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
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
