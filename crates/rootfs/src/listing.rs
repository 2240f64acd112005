//! The names in one directory, in byte order.

use std::io;
use std::mem::MaybeUninit;

use rustix::fs::{FileType, RawDir};

use crate::directory::{Dir, kind_of};

/// All names of one directory, kept in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    bytes: Vec<u8>,
    entries: Vec<Listed>,
}

/// Where one name lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Listed {
    start: usize,
    length: usize,
    kind: FileType,
}

/// The buffer `getdents64` fills; kept by a walker from directory to directory.
pub(crate) struct ListingBuffer(Box<[MaybeUninit<u8>]>);

impl ListingBuffer {
    pub(crate) fn new() -> Self {
        Self(vec![MaybeUninit::uninit(); BUFFER_SIZE].into_boxed_slice())
    }
}

impl Listing {
    /// Lists a directory that was opened for reading and not listed before.
    pub(crate) fn read(dir: &Dir, buffer: &mut ListingBuffer) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut entries = RawDir::new(dir, &mut buffer.0);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            listing.push(entry.file_name().to_bytes(), entry.file_type());
        }
        listing.sort();
        Ok(listing)
    }

    fn push(&mut self, name: &[u8], kind: FileType) {
        if name == b"." || name == b".." {
            return;
        }
        self.entries.push(Listed {
            start: self.bytes.len(),
            length: name.len(),
            kind,
        });
        self.bytes.extend_from_slice(name);
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries
            .sort_unstable_by(|a, b| a.name(bytes).cmp(b.name(bytes)));
    }

    /// The same with the types that the directory does not record looked up.
    pub(crate) fn with_kinds(mut self, dir: &Dir) -> io::Result<Self> {
        let bytes = &self.bytes;
        let unknown = self
            .entries
            .iter_mut()
            .filter(|entry| entry.kind == FileType::Unknown);
        for entry in unknown {
            entry.kind = kind_of(&dir.stat(entry.name(bytes))?);
        }
        Ok(self)
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is such a name.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        let found = self
            .entries
            .binary_search_by(|entry| entry.name(&self.bytes).cmp(name));
        found.is_ok()
    }

    /// Names with the type the directory itself records, which some
    /// filesystems leave unknown.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], FileType)> {
        self.entries
            .iter()
            .map(|entry| (entry.name(&self.bytes), entry.kind))
    }
}

impl Listed {
    fn name(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start..self.start + self.length]
    }
}

const BUFFER_SIZE: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_among_others() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        for name in [&b"c"[..], b"a", b"\xff"] {
            dir.create(name).unwrap();
        }
        let listing = Listing::read(&dir, &mut ListingBuffer::new()).unwrap();
        for (name, there) in [
            (&b"a"[..], true),
            (b"b", false),
            (b"\xff", true),
            (b"", false),
        ] {
            assert_eq!(listing.contains(name), there, "{name:?}");
        }
    }

    #[test]
    fn names_come_in_byte_order_whatever_they_hold() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        for name in [&b"b"[..], b"a\nb", b"\xff\xfe", b"a", b" "] {
            dir.create(name).unwrap();
        }
        let listing = Listing::read(&dir, &mut ListingBuffer::new()).unwrap();
        let names: Vec<&[u8]> = listing.iter().map(|(name, _)| name).collect();
        assert_eq!(names, [&b" "[..], b"a", b"a\nb", b"b", b"\xff\xfe"]);
        assert_eq!(listing.len(), 5);
    }
}
