//! Members of layer archives.

use crate::{Metadata, TreePath};

/// One member of a layer archive, or of anything else that is put into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Makes or replaces one name.
    Put {
        /// The name as written; its parents may be symlinks of the tree.
        path: TreePath,
        /// Mode, owner, time, extended attributes.
        metadata: Metadata,
        /// Type and content.
        kind: EntryKind,
    },
    /// Removes one name of the layers below.
    Whiteout {
        /// The removed name.
        path: TreePath,
    },
    /// Removes everything the layers below have in a directory.
    Opaque {
        /// The emptied directory.
        directory: TreePath,
    },
}

/// What a member puts under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory; an existing one keeps its entries.
    Directory,
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A symbolic link and its target as written.
    Symlink(Box<[u8]>),
    /// Another name of a file that is already in the tree.
    HardLink(TreePath),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Entry {
    /// The name this member is about.
    pub fn path(&self) -> &TreePath {
        match self {
            Self::Put { path, .. } | Self::Whiteout { path } => path,
            Self::Opaque { directory } => directory,
        }
    }
}
