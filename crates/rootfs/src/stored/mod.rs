//! A snapshot as a file, for a root that outlives the process.
//!
//! The format is private to a version of this program: it begins with a line
//! that names it, and ends with the SHA-256 of everything before. A file that is
//! not understood or damaged is an error, never another snapshot.

mod code;
mod read;
mod write;

use std::io::{self, Read, Write};

use crate::snapshot::Snapshot;

impl Snapshot {
    /// Writes the tree, digests and hard links included, and what tells whether
    /// the files on disk are still those in it.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write::write(self, out)
    }

    /// Reads what [`Snapshot::write`] wrote.
    ///
    /// Whether the disk agrees is for a [`scan`](crate::scan) to find out.
    ///
    /// # Errors
    ///
    /// `InvalidData` if these are not the bytes of a snapshot of this version,
    /// else what `input` says.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
        read::read(input)
    }
}

/// The first line. Another format has another number.
const MAGIC: &[u8] = b"yadokari snapshot 1\n";

#[cfg(test)]
mod tests {
    use yadokari_tree::{Tree, tree};

    use super::*;
    use crate::root::Root;
    use crate::scan::{ScanOptions, scan};

    fn snapshot() -> (tempfile::TempDir, Root, Snapshot) {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::open(temp.path()).unwrap();
        root.create_dir(&"/etc/deep/down".into(), 0o750).unwrap();
        root.write_file(&"/etc/motd".into(), b"hello", 0o644)
            .unwrap();
        root.write_file(&"/etc/deep/down/f".into(), b"", 0o4755)
            .unwrap();
        let path = |name: &str| temp.path().join(name);
        std::fs::hard_link(path("etc/motd"), path("again")).unwrap();
        std::os::unix::fs::symlink("etc/motd", path("link")).unwrap();
        let snapshot = scan(&root, None, &ScanOptions::default()).unwrap();
        (temp, root, snapshot)
    }

    fn bytes(snapshot: &Snapshot) -> Vec<u8> {
        let mut bytes = Vec::new();
        snapshot.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_was_written_comes_back_and_the_disk_agrees() {
        let (_temp, root, snapshot) = snapshot();
        let read = Snapshot::read(&mut &*bytes(&snapshot)).unwrap();
        assert_eq!(read.tree(), snapshot.tree());
        assert_eq!(bytes(&read), bytes(&snapshot));
        let again = scan(&root, Some(&read), &ScanOptions::default()).unwrap();
        assert!(again.tree().root().same(read.tree().root()));
    }

    #[test]
    fn a_changed_disk_is_found_through_a_file() {
        let (temp, root, snapshot) = snapshot();
        let read = Snapshot::read(&mut &*bytes(&snapshot)).unwrap();
        std::fs::write(temp.path().join("etc/motd"), "HELLO").unwrap();
        let again = scan(&root, Some(&read), &ScanOptions::default()).unwrap();
        assert!(!again.tree().root().same(read.tree().root()));
    }

    #[test]
    fn all_kinds_of_nodes_survive() {
        let everything: Tree = tree(
            "/a 0644 x\n/b => /a\n/c -> a\n/d 0666 <char 1:3>\n/e 0600 <block 7:0>\n/f 0600 <fifo>\n\
             /g 0755 <socket>\n/h/i 4755 1:2 @-5.000000001 +user.note=6869 y\n/j 0644 <file 7>",
        );
        let (_temp, _root, mut snapshot) = snapshot();
        snapshot.tree = everything;
        snapshot.stamps = std::sync::Arc::default();
        let read = Snapshot::read(&mut &*bytes(&snapshot)).unwrap();
        assert_eq!(read.tree(), snapshot.tree());
    }

    #[test]
    fn no_damaged_byte_goes_unnoticed() {
        let (_temp, _root, snapshot) = snapshot();
        let whole = bytes(&snapshot);
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!(Snapshot::read(&mut &*damaged).is_err(), "byte {at}");
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert!(Snapshot::read(&mut &whole[..length]).is_err());
        }
    }
}
