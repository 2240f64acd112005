//! What a node shares: one inode.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{FileContent, Metadata, Name, Node};

/// The entries of a directory, in byte order of their names.
pub type Children = BTreeMap<Name, Node>;

/// One inode: metadata, and what it is.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Mode, owner, time, extended attributes.
    pub metadata: Metadata,
    /// Type and content.
    pub kind: Kind,
}

/// What an inode is, with what belongs to that type.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory and its entries.
    Directory(Children),
    /// A regular file.
    File(FileContent),
    /// A symbolic link and its target as written.
    Symlink(Box<[u8]>),
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
    /// A Unix socket. Exists on disks; archives cannot carry it.
    Socket,
}

/// Shallow in time, deep in meaning: directories compare their whole content,
/// without looking at which names are hard links of each other.
impl PartialEq for Inode {
    fn eq(&self, other: &Self) -> bool {
        let mut pending = vec![(self, other)];
        while let Some((left, right)) = pending.pop() {
            if std::ptr::eq(left, right) {
                continue;
            }
            if left.metadata != right.metadata || !left.kind.equal_apart_from_children(&right.kind)
            {
                return false;
            }
            if let (Kind::Directory(left), Kind::Directory(right)) = (&left.kind, &right.kind) {
                if !left.keys().eq(right.keys()) {
                    return false;
                }
                pending.extend(
                    left.values()
                        .zip(right.values())
                        .map(|(l, r)| (&*l.0, &*r.0)),
                );
            }
        }
        true
    }
}

impl Kind {
    fn equal_apart_from_children(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Directory(_), Self::Directory(_)) => true,
            (Self::File(left), Self::File(right)) => left == right,
            _ => self.equal_special(other),
        }
    }

    /// Whether both are links, devices, pipes or sockets and hold the same.
    pub(crate) fn equal_special(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Symlink(left), Self::Symlink(right)) => left == right,
            (Self::CharDevice { major, minor }, Self::CharDevice { major: a, minor: i })
            | (Self::BlockDevice { major, minor }, Self::BlockDevice { major: a, minor: i }) => {
                (major, minor) == (a, i)
            }
            (Self::Fifo, Self::Fifo) | (Self::Socket, Self::Socket) => true,
            _ => false,
        }
    }
}

/// Directories are taken apart with a list instead of by recursion: a hostile
/// archive can nest them deeper than a thread's stack.
impl Drop for Inode {
    fn drop(&mut self) {
        let Kind::Directory(children) = &mut self.kind else {
            return;
        };
        let mut pending = only_directories(std::mem::take(children));
        while let Some(node) = pending.pop() {
            if let Some(mut inode) = Arc::into_inner(node.0)
                && let Kind::Directory(children) = &mut inode.kind
            {
                pending.append(&mut only_directories(std::mem::take(children)));
            }
        }
    }
}

/// Drops the other entries at once; they own no nodes.
fn only_directories(children: Children) -> Vec<Node> {
    children.into_values().filter(Node::is_directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &str) -> Name {
        Name::new(bytes).unwrap()
    }

    /// 700,000 files have to fit into 160 MiB: 239 bytes each, of which the
    /// name's bytes, its allocation and the map's slack are the rest.
    #[test]
    fn a_file_costs_about_two_hundred_bytes() {
        let counters = 2 * size_of::<usize>();
        let inode = counters + size_of::<Inode>();
        let name_allocation = (counters + 20).next_multiple_of(16);
        let map_slot = (size_of::<Name>() + size_of::<Node>()) * 11 / 6;
        let allocator = 2 * 8;
        assert_eq!(size_of::<Node>(), 8);
        assert!(size_of::<Metadata>() <= 40, "{}", size_of::<Metadata>());
        assert!(size_of::<Kind>() <= 56, "{}", size_of::<Kind>());
        let file = inode + name_allocation + map_slot + allocator;
        assert!(file <= 225, "{file}");
        assert!(file * 700_000 < 160 << 20, "{file}");
    }

    #[test]
    fn a_hundred_thousand_nested_directories_are_compared_and_dropped() {
        let nested = || {
            let mut node = Node::empty_directory(Metadata::new(0o755));
            for _ in 0..100_000 {
                node = Node::directory(Metadata::new(0o755), [(name("d"), node)].into());
            }
            node
        };
        assert!(nested() == nested());
    }

    #[test]
    fn dropping_one_tree_leaves_what_another_shares() {
        let inner = Node::directory(
            Metadata::new(0o700),
            [(name("f"), Node::file_of(Metadata::new(0o600), ""))].into(),
        );
        let outer = Node::directory(
            Metadata::new(0o755),
            [(name("inner"), inner.clone())].into(),
        );
        drop(outer);
        assert_eq!(inner.children().unwrap().len(), 1);
    }
}
