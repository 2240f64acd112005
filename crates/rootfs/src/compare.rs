//! Turning one entry on disk into a node: the known one wherever that is
//! proven to be the same.

use std::io::{self, Read};

use rustix::fs::FileType;
use sha2::{Digest, Sha256};
use yadokari_tree::{ContentDigest, Kind, Metadata, Node, Timestamp, Xattrs};

use crate::attributes;
use crate::directory::Dir;
use crate::found::{Found, same_metadata, same_stat};
use crate::snapshot::{Known, Stamp};
use crate::unpack::BUFFER_SIZE;

/// Whether the disk is as it was when the entry was last known.
///
/// `taken` is the time of the scan the stamps are from. Without a stamp the
/// disk was just written from the tree, and looks are enough.
pub(crate) fn is_untouched(known: &Known<'_>, found: &Found, taken: Option<Timestamp>) -> bool {
    match (known.stamp, taken) {
        (None, _) => found.looks_like(known.node),
        (Some(stamp), Some(taken)) => {
            stamp == found.stamp && !stamp.is_racy(taken) && found.looks_like(known.node)
        }
        (Some(_), None) => false,
    }
}

/// A known node that an entry may turn out to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) node: &'a Node,
    pub(crate) stamp: Option<Stamp>,
}

impl Candidate<'_> {
    /// Whether the entry may be the very node, not just an equal one: names
    /// that parted must not stay one inode in the tree.
    fn is_reusable(&self, found: &Found) -> bool {
        self.stamp
            .is_none_or(|stamp| stamp.links <= 1 || stamp.inode == found.stamp.inode)
    }
}

/// Reads an entry that is no directory. Comes back with a candidate's node
/// where metadata and content are proven equal, else with a new one.
///
/// A file that looks like a candidate, attributes aside, is hashed, and its new
/// node then carries the digest; a candidate whose own digest nobody ever took proves nothing.
pub(crate) fn read(
    dir: &Dir,
    name: &[u8],
    found: &Found,
    candidates: &[Candidate<'_>],
) -> io::Result<Node> {
    read_with(dir, name, found, attributes::read(dir, name)?, candidates)
}

/// [`read`] of an entry whose attributes have been read.
pub(crate) fn read_with(
    dir: &Dir,
    name: &[u8],
    found: &Found,
    xattrs: Xattrs,
    candidates: &[Candidate<'_>],
) -> io::Result<Node> {
    let metadata = found.metadata(xattrs);
    let fresh = Node::new(metadata, kind(dir, name, found)?);
    let alike: Vec<_> = candidates
        .iter()
        .filter(|candidate| is_alike(candidate.node, &fresh))
        .collect();
    if alike.is_empty() {
        return Ok(fresh);
    }
    if let (Some(content), true) = (fresh.content(), alike.iter().any(|c| c.node.is_file())) {
        content.set_digest(hash(dir, name)?);
    }
    let proven = alike
        .iter()
        .find(|candidate| candidate.is_reusable(found) && is_proven(candidate.node, &fresh));
    Ok(match proven {
        Some(candidate) => candidate.node.clone(),
        None => stand_in(&alike, &fresh).unwrap_or(fresh),
    })
}

fn kind(dir: &Dir, name: &[u8], found: &Found) -> io::Result<Kind> {
    match found.kind {
        FileType::Symlink => dir.read_link(name).map(Kind::Symlink),
        _ => Ok(found.plain_kind()),
    }
}

fn is_alike(known: &Node, fresh: &Node) -> bool {
    let symlinks = known.is_symlink() && fresh.is_symlink();
    let metadata = if symlinks {
        &fresh.metadata().clone().with_mode(known.metadata().mode)
    } else {
        fresh.metadata()
    };
    same_stat(known.metadata(), metadata) && same_kind(known.kind(), fresh.kind())
}

fn same_kind(known: &Kind, fresh: &Kind) -> bool {
    match (known, fresh) {
        (Kind::File(known), Kind::File(fresh)) => known.size == fresh.size,
        (Kind::Symlink(known), Kind::Symlink(fresh)) => known == fresh,
        (known, Kind::File(fresh)) if is_device(known) => fresh.size == 0,
        (
            Kind::CharDevice { major, minor },
            Kind::CharDevice {
                major: fresh_major,
                minor: fresh_minor,
            },
        )
        | (
            Kind::BlockDevice { major, minor },
            Kind::BlockDevice {
                major: fresh_major,
                minor: fresh_minor,
            },
        ) => (major, minor) == (fresh_major, fresh_minor),
        (Kind::Fifo, Kind::Fifo) | (Kind::Socket, Kind::Socket) => true,
        _ => false,
    }
}

fn is_proven(known: &Node, fresh: &Node) -> bool {
    if !attributes::agree(&known.metadata().xattrs, &fresh.metadata().xattrs) {
        return false;
    }
    match (known.content(), fresh.content()) {
        (Some(known), Some(fresh)) => known.digest().is_some() && known.digest() == fresh.digest(),
        _ => true,
    }
}

/// The device an empty file stands for, where the node itself is not to be used.
fn stand_in(alike: &[&Candidate<'_>], fresh: &Node) -> Option<Node> {
    let device = alike
        .iter()
        .find(|candidate| is_device(candidate.node.kind()) && fresh.is_file())?;
    Some(device.node.with_metadata(fresh.metadata().clone()))
}

fn is_device(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. })
}

/// The metadata of a directory: the known one's attributes if it is untouched.
pub(crate) fn directory_metadata(
    dir: &Dir,
    name: &[u8],
    found: &Found,
    known: Option<&Known<'_>>,
    taken: Option<Timestamp>,
) -> io::Result<Metadata> {
    let known = known.filter(|known| known.node.is_directory());
    if let Some(known) = known.filter(|known| is_untouched(known, found, taken)) {
        return Ok(known.node.metadata().clone());
    }
    let metadata = found.metadata(attributes::read(dir, name)?);
    Ok(match known {
        Some(known) if same_metadata(known.node.metadata(), &metadata) => {
            known.node.metadata().clone()
        }
        _ => metadata,
    })
}

/// Hashes a file so young that its stamp will not tell the next scan whether
/// it changed after this one, which began at `taken`.
pub(crate) fn hash_young(
    dir: &Dir,
    name: &[u8],
    found: &Found,
    node: &Node,
    taken: Option<Timestamp>,
) -> io::Result<()> {
    let young = taken.is_some_and(|taken| found.stamp.is_racy(taken));
    let content = node.content().filter(|content| content.digest().is_none());
    if let Some(content) = content.filter(|_| young) {
        content.set_digest(hash(dir, name)?);
    }
    Ok(())
}

/// SHA-256 of a file's bytes.
pub(crate) fn hash(dir: &Dir, name: &[u8]) -> io::Result<ContentDigest> {
    let (mut file, size) = attributes::regular(dir.read(name)?)?;
    let mut buffer = vec![0; BUFFER_SIZE.min(size as usize + 1)];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(ContentDigest::from_bytes(hash.finalize().into())),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file on disk, and its node and stamp as a scan would know them.
    fn scanned() -> (tempfile::TempDir, Dir, Node, Found) {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("f"), "x").unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let found = Found::of(&dir.stat(b"f").unwrap());
        let node = read(&dir, b"f", &found, &[]).unwrap();
        (temp, dir, node, found)
    }

    #[test]
    fn a_file_changed_in_the_tick_of_the_last_scan_is_not_trusted() {
        let (_temp, dir, node, found) = scanned();
        let stat = dir.stat(b"f").unwrap().stx_ctime;
        let changed = Timestamp::new(stat.tv_sec, stat.tv_nsec);
        let later = Timestamp::new(stat.tv_sec + 1, 0);
        let earlier = Timestamp::new(stat.tv_sec - 1, 0);
        let known = Known {
            node: &node,
            stamp: Some(found.stamp),
            stamps: None,
        };
        for (taken, trusted) in [(later, true), (changed, false), (earlier, false)] {
            assert_eq!(is_untouched(&known, &found, Some(taken)), trusted);
        }
        let unstamped = Known {
            stamp: Some(Stamp::NONE),
            ..known
        };
        assert!(!is_untouched(&unstamped, &found, Some(later)));
    }

    #[test]
    fn a_file_of_the_tick_of_this_scan_is_hashed_and_an_older_one_is_not() {
        let (_temp, dir, node, found) = scanned();
        let stat = dir.stat(b"f").unwrap().stx_ctime;
        let digest = || node.content().unwrap().digest();
        let later = Timestamp::new(stat.tv_sec + 1, 0);
        hash_young(&dir, b"f", &found, &node, Some(later)).unwrap();
        hash_young(&dir, b"f", &found, &node, None).unwrap();
        assert_eq!(digest(), None);
        let then = Timestamp::new(stat.tv_sec, stat.tv_nsec);
        hash_young(&dir, b"f", &found, &node, Some(then)).unwrap();
        assert_eq!(digest(), Some(ContentDigest::of("x")));
    }

    #[test]
    fn only_a_known_digest_proves_a_file_equal() {
        let (_temp, dir, node, found) = scanned();
        let candidate = |node| {
            [Candidate {
                node,
                stamp: Some(found.stamp),
            }]
        };
        let unhashed = read(&dir, b"f", &found, &candidate(&node)).unwrap();
        assert!(!unhashed.same(&node));
        assert!(unhashed.content().unwrap().digest().is_some());
        let again = read(&dir, b"f", &found, &candidate(&unhashed)).unwrap();
        assert!(again.same(&unhashed));
        let wrong = Node::file_with_digest(node.metadata().clone(), 1, ContentDigest::of("y"));
        assert!(
            !read(&dir, b"f", &found, &candidate(&wrong))
                .unwrap()
                .same(&wrong)
        );
    }
}
