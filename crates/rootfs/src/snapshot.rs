//! What a root looked like when it was last scanned.

use std::sync::Arc;

use rustix::fs::Statx;
use yadokari_tree::{Name, Node, Timestamp, Tree};

use crate::error::ScanError;
use crate::root::Root;
use crate::scan::{ScanOptions, scan_from};

/// A tree, and what tells whether a file on disk is still the one in it.
///
/// Snapshots share what did not change between them, so keeping several costs
/// little. Beside the tree an entry costs 24 bytes.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) tree: Tree,
    pub(crate) top: Stamp,
    pub(crate) stamps: Arc<Stamps>,
    /// The filesystem's clock before the first entry was looked at. A file
    /// whose change time is not older may change again without showing it.
    pub(crate) taken: Timestamp,
}

impl Snapshot {
    /// Takes the first snapshot of a root that was just written from `tree`.
    ///
    /// A node is kept where type, size, mode, owner and time on disk are what
    /// the tree says; contents, link targets and attributes are not read. Where
    /// a device could not be made, the empty file in its place stands for it.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to show something.
    pub fn take(root: &Root, tree: &Tree, options: &ScanOptions) -> Result<Self, ScanError> {
        scan_from(root, Some(Before::known(tree)), None, options)
    }

    /// A snapshot that knows no disk: every file in it counts as changed.
    pub fn without_disk(tree: Tree) -> Self {
        Self {
            tree,
            top: Stamp::NONE,
            stamps: Arc::default(),
            taken: Timestamp::EPOCH,
        }
    }

    /// The tree that was found.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// What the kernel changes whenever an inode changes, and no program can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) inode: u64,
    seconds: i64,
    nanos: u32,
    /// How many names the inode had.
    pub(crate) links: u32,
}

impl Stamp {
    /// The stamp of a name that was not looked at; no inode is numbered zero.
    pub(crate) const NONE: Self = Self {
        inode: 0,
        seconds: 0,
        nanos: 0,
        links: 0,
    };

    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            inode: stat.stx_ino,
            seconds: stat.stx_ctime.tv_sec,
            nanos: stat.stx_ctime.tv_nsec,
            links: stat.stx_nlink,
        }
    }

    /// A stamp that was kept.
    pub(crate) const fn known(inode: u64, changed: Timestamp, links: u32) -> Self {
        Self {
            inode,
            seconds: changed.seconds,
            nanos: changed.nanos,
            links,
        }
    }

    /// When the inode last changed, in seconds since 1970 and nanoseconds.
    pub(crate) const fn changed(self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    /// Whether the inode may have changed after `taken` within the same tick.
    pub(crate) fn is_racy(self, taken: Timestamp) -> bool {
        Timestamp::new(self.seconds, self.nanos) >= taken
    }
}

/// The stamps of one directory's entries, in the order of the tree, and those
/// of its subdirectories, in the same order.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    pub(crate) entries: Box<[Stamp]>,
    pub(crate) directories: Box<[Arc<Self>]>,
}

impl Drop for Stamps {
    /// Takes nested directories apart one by one: their depth is up to whoever
    /// wrote the image, and the stack is not.
    fn drop(&mut self) {
        let mut pending = std::mem::take(&mut self.directories).into_vec();
        while let Some(next) = pending.pop() {
            if let Some(mut stamps) = Arc::into_inner(next) {
                pending.extend(std::mem::take(&mut stamps.directories));
            }
        }
    }
}

/// What was known of one name before a scan.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    pub(crate) node: Node,
    /// `None` where a tree is known and the disk was never looked at.
    pub(crate) stamp: Option<Stamp>,
    /// Of a directory that was scanned.
    pub(crate) stamps: Option<Arc<Stamps>>,
}

impl Before {
    fn known(tree: &Tree) -> Self {
        Self {
            node: tree.root().clone(),
            stamp: None,
            stamps: None,
        }
    }

    pub(crate) fn scanned(snapshot: &Snapshot) -> Self {
        Self {
            node: snapshot.tree.root().clone(),
            stamp: Some(snapshot.top),
            stamps: Some(Arc::clone(&snapshot.stamps)),
        }
    }

    /// The entries of this directory, none if it is none.
    pub(crate) fn children(&self) -> impl Iterator<Item = (&Name, Known<'_>)> {
        children(&self.node, self.stamps.as_deref())
    }
}

/// The entries of a directory with what is known of each.
pub(crate) fn children<'a>(
    node: &'a Node,
    stamps: Option<&'a Stamps>,
) -> impl Iterator<Item = (&'a Name, Known<'a>)> {
    let mut directories = 0;
    let children = node.children().into_iter().flatten();
    children.enumerate().map(move |(at, (name, node))| {
        let below = node.is_directory().then(|| {
            directories += 1;
            stamps.and_then(|stamps| stamps.directories.get(directories - 1))
        });
        let stamp = stamps.and_then(|stamps| stamps.entries.get(at).copied());
        let known = Known {
            node,
            stamp,
            stamps: below.flatten(),
        };
        (name, known)
    })
}

/// [`Before`] of an entry, borrowed from its directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) node: &'a Node,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) stamps: Option<&'a Arc<Stamps>>,
}

impl Known<'_> {
    pub(crate) fn to_before(self) -> Before {
        Before {
            node: self.node.clone(),
            stamp: self.stamp,
            stamps: self.stamps.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_stays_small() {
        assert_eq!(size_of::<Stamp>(), 24);
    }

    #[test]
    fn deep_stamps_are_dropped_without_a_deep_stack() {
        let mut stamps = Arc::new(Stamps::default());
        for _ in 0..200_000 {
            stamps = Arc::new(Stamps {
                entries: Box::new([Stamp::NONE]),
                directories: Box::new([stamps]),
            });
        }
        drop(stamps);
    }
}
