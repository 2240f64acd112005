//! What one `statx` says, and how that compares with a node.

use rustix::fs::{FileType, Statx};
use yadokari_tree::{FileContent, Kind, Metadata, Node, Timestamp, Xattrs};

use crate::attributes;
use crate::directory::kind_of;
use crate::snapshot::Stamp;

/// An entry as it is on disk, attributes and content aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) kind: FileType,
    pub(crate) stamp: Stamp,
    pub(crate) size: u64,
    pub(crate) filesystem: (u32, u32),
    pub(crate) mount: u64,
    mode: u16,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    device: (u32, u32),
}

impl Found {
    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            kind: kind_of(stat),
            stamp: Stamp::of(stat),
            size: stat.stx_size,
            filesystem: (stat.stx_dev_major, stat.stx_dev_minor),
            mount: stat.stx_mnt_id,
            mode: stat.stx_mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            mtime: Timestamp::new(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            device: (stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// Whether this is what an overlay has in place of a removed name.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.is_device(FileType::CharacterDevice, (0, 0))
    }

    /// Whether the inode has other names, somewhere.
    pub(crate) fn is_linked(&self) -> bool {
        self.stamp.links > 1 && !self.is_directory()
    }

    pub(crate) fn metadata(&self, xattrs: Xattrs) -> Metadata {
        Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            xattrs,
        }
    }

    /// The kind of everything that needs no further look at the disk.
    pub(crate) fn plain_kind(&self) -> Kind {
        let (major, minor) = self.device;
        match self.kind {
            FileType::CharacterDevice => Kind::CharDevice { major, minor },
            FileType::BlockDevice => Kind::BlockDevice { major, minor },
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            _ => Kind::File(FileContent::new(self.size)),
        }
    }

    /// Whether nothing that `statx` shows tells the entry from the node.
    pub(crate) fn looks_like(&self, node: &Node) -> bool {
        let metadata = node.metadata();
        // The mode of a symlink is the kernel's affair.
        let same_mode = self.mode == metadata.mode || self.kind == FileType::Symlink;
        same_mode
            && (self.uid, self.gid) == (metadata.uid, metadata.gid)
            && self.is_dated(metadata.mtime)
            && self.has_kind_of(node.kind())
    }

    /// Some filesystems keep whole seconds only.
    fn is_dated(&self, mtime: Timestamp) -> bool {
        self.mtime == mtime || (self.mtime.nanos == 0 && self.mtime.seconds == mtime.seconds)
    }

    fn has_kind_of(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Directory(_) => self.is_directory(),
            Kind::File(content) => self.kind == FileType::RegularFile && self.size == content.size,
            Kind::Symlink(target) => {
                self.kind == FileType::Symlink && self.size == target.len() as u64
            }
            Kind::CharDevice { major, minor } => {
                self.is_device(FileType::CharacterDevice, (*major, *minor)) || self.stands_in()
            }
            Kind::BlockDevice { major, minor } => {
                self.is_device(FileType::BlockDevice, (*major, *minor)) || self.stands_in()
            }
            Kind::Fifo => self.kind == FileType::Fifo,
            Kind::Socket => self.kind == FileType::Socket,
        }
    }

    fn is_device(&self, kind: FileType, device: (u32, u32)) -> bool {
        self.kind == kind && self.device == device
    }

    /// Whether this can be the empty file that stands for a device.
    fn stands_in(&self) -> bool {
        self.kind == FileType::RegularFile && self.size == 0
    }
}

/// Whether a node says of itself what was read from disk.
pub(crate) fn same_metadata(recorded: &Metadata, read: &Metadata) -> bool {
    same_stat(recorded, read) && attributes::agree(&recorded.xattrs, &read.xattrs)
}

/// [`same_metadata`], extended attributes aside.
pub(crate) fn same_stat(recorded: &Metadata, read: &Metadata) -> bool {
    (recorded.mode, recorded.uid, recorded.gid, recorded.mtime)
        == (read.mode, read.uid, read.gid, read.mtime)
}
