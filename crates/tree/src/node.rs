//! Handles that share inodes.

use std::sync::Arc;

use crate::{Children, ContentDigest, FileContent, Inode, Kind, Metadata};

/// A shared inode. Clones are the *same* inode: put under two names of one
/// tree they are a hard link. [`Node::copied`] makes another inode.
///
/// `==` compares what the inodes hold, [`Node::same`] their identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Node(pub(crate) Arc<Inode>);

impl Node {
    /// A new inode.
    pub fn new(metadata: Metadata, kind: Kind) -> Self {
        Self(Arc::new(Inode { metadata, kind }))
    }

    /// A directory with entries.
    pub fn directory(metadata: Metadata, children: Children) -> Self {
        Self::new(metadata, Kind::Directory(children))
    }

    /// A directory without entries.
    pub fn empty_directory(metadata: Metadata) -> Self {
        Self::directory(metadata, Children::new())
    }

    /// A file whose bytes have not been hashed.
    pub fn file(metadata: Metadata, size: u64) -> Self {
        Self::new(metadata, Kind::File(FileContent::new(size)))
    }

    /// A file whose bytes are known by their digest.
    pub fn file_with_digest(metadata: Metadata, size: u64, digest: ContentDigest) -> Self {
        Self::new(metadata, Kind::File(FileContent::with_digest(size, digest)))
    }

    /// A file with the size and digest of these bytes.
    pub fn file_of(metadata: Metadata, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(metadata, Kind::File(FileContent::of(bytes)))
    }

    /// A symbolic link.
    pub fn symlink(metadata: Metadata, target: impl AsRef<[u8]>) -> Self {
        Self::new(metadata, Kind::Symlink(target.as_ref().into()))
    }

    /// Another inode with the same kind (and children) and other metadata.
    #[must_use]
    pub fn with_metadata(&self, metadata: Metadata) -> Self {
        Self::new(metadata, self.0.kind.clone())
    }

    /// Another inode that holds the same: no hard link of this one.
    ///
    /// The entries of a directory stay shared; putting two copies of one
    /// directory into a tree makes hard links of their files. Build those with
    /// a copy per file.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self(Arc::new(Inode::clone(&self.0)))
    }

    /// Whether both are the same inode.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number for the inode's identity, for use as a map key. Valid while any
    /// clone of this node lives.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether anything else holds this inode: another name, or another
    /// version of the tree. `false` proves that it has no other name.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Mode, owner, time, extended attributes.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Type and content.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The entries, if this is a directory.
    pub fn children(&self) -> Option<&Children> {
        match &self.0.kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }

    /// The content, if this is a regular file.
    pub fn content(&self) -> Option<&FileContent> {
        match &self.0.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// The target, if this is a symbolic link.
    pub fn target(&self) -> Option<&[u8]> {
        match &self.0.kind {
            Kind::Symlink(target) => Some(target),
            _ => None,
        }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.0.kind, Kind::Directory(_))
    }

    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        matches!(self.0.kind, Kind::File(_))
    }

    /// Whether this is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        matches!(self.0.kind, Kind::Symlink(_))
    }

    /// Whether this is a Unix socket.
    pub fn is_socket(&self) -> bool {
        matches!(self.0.kind, Kind::Socket)
    }

    /// The inode for editing; copied first if anything else holds it.
    pub(crate) fn edit(&mut self) -> &mut Inode {
        Arc::make_mut(&mut self.0)
    }

    pub(crate) fn edit_children(&mut self) -> Option<&mut Children> {
        match &mut self.edit().kind {
            Kind::Directory(children) => Some(children),
            _ => None,
        }
    }
}

impl std::ops::Deref for Node {
    type Target = Inode;

    fn deref(&self) -> &Inode {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_inode_and_copies_are_not() {
        let file = Node::file_of(Metadata::new(0o644), "x");
        assert!(file.same(&file.clone()));
        assert!(!file.same(&file.copied()));
        assert_eq!(file, file.copied());
        assert_ne!(file, file.with_metadata(Metadata::new(0o600)));
    }
}
