//! Listings of guarded directories, without what is hidden there.
//!
//! So a command that walks over everything, to find, to remove or to change owners,
//! does not come to what it may not use.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::caller::Caller;
use super::guarded::Guarded;

/// The streams that commands read guarded directories through.
#[derive(Debug, Default)]
pub(super) struct Listings {
    open: VecDeque<(Reader, OwnedFd)>,
}

/// A thread, and its number for a stream.
type Reader = (u32, u32);

impl Listings {
    /// Reads on in a guarded directory for a command. Its descriptor is made one of the stream that was read, by
    /// `replace`, so that whoever else has it reads on there as well.
    pub(super) fn read(
        &mut self,
        caller: Caller,
        directory: &Guarded,
        (number, buffer, length): (u32, u64, u64),
        replace: impl FnOnce(&OwnedFd, bool) -> Result<(), Errno>,
    ) -> Result<Option<i64>, Errno> {
        let Some(state) = caller.descriptor(number).filter(|state| state.is_open()) else {
            return Ok(None);
        };
        let reader = (caller.pid(), number);
        let stream = self.stream(reader, directory, state.position)?;
        let length = usize::try_from(length).unwrap_or(MOST).min(MOST);
        let mut entries = vec![0; length];
        let visible = read_visible(&stream, &mut entries, |name| directory.hides(name))?;
        caller.write(buffer, &entries[..visible])?;
        replace(&stream, state.close_on_exec())?;
        self.keep(reader, stream);
        Ok(i64::try_from(visible).ok())
    }

    /// The stream that `reader` had before, if it is at the place where its descriptor is, or a new one there.
    fn stream(
        &mut self,
        reader: Reader,
        directory: &Guarded,
        position: u64,
    ) -> Result<OwnedFd, Errno> {
        let known = self.open.iter().position(|(other, _)| *other == reader);
        let known = known.and_then(|index| self.open.remove(index));
        if let Some((_, stream)) = known
            && rustix::fs::tell(&stream) == Ok(position)
            && is_of(&stream, directory)
        {
            return Ok(stream);
        }
        let stream = directory.listing().map_err(|_| Errno::NOENT)?;
        rustix::fs::seek(&stream, SeekFrom::Start(position))?;
        Ok(stream)
    }

    fn keep(&mut self, reader: Reader, stream: OwnedFd) {
        self.open.push_back((reader, stream));
        if self.open.len() > MOST_OPEN {
            self.open.pop_front();
        }
    }
}

fn is_of(stream: &OwnedFd, directory: &Guarded) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == directory.inode())
}

/// Fills `entries` with what is not hidden; gives the length, which is 0 at the end only.
fn read_visible(
    stream: &OwnedFd,
    entries: &mut [u8],
    hidden: impl Fn(&OsStr) -> bool,
) -> Result<usize, Errno> {
    loop {
        let read = read_entries(stream, entries)?;
        let visible = drop_hidden(&mut entries[..read], &hidden);
        if read == 0 || visible > 0 {
            return Ok(visible);
        }
    }
}

/// Moves what is not hidden together at the start of `entries`; gives its length.
fn drop_hidden(entries: &mut [u8], hidden: impl Fn(&OsStr) -> bool) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(length) = length_of_entry(&entries[from..]) {
        if !hidden(name_of_entry(&entries[from..from + length])) {
            entries.copy_within(from..from + length, to);
            to += length;
        }
        from += length;
    }
    to
}

/// The length of the first entry, as `struct linux_dirent64` has it.
fn length_of_entry(entries: &[u8]) -> Option<usize> {
    let bytes = entries.get(LENGTH..LENGTH + 2)?;
    let length = usize::from(u16::from_ne_bytes(bytes.try_into().ok()?));
    (length > NAME && length <= entries.len()).then_some(length)
}

fn name_of_entry(entry: &[u8]) -> &OsStr {
    let name = &entry[NAME..];
    let end = name.iter().position(|byte| *byte == 0);
    OsStr::from_bytes(&name[..end.unwrap_or(name.len())])
}

#[expect(
    unsafe_code,
    reason = "the kernel's own form of entries has no safe call"
)]
fn read_entries(stream: &OwnedFd, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most the given length.
    let read = unsafe {
        libc::syscall(
            libc::SYS_getdents64,
            stream.as_raw_fd(),
            into.as_mut_ptr(),
            into.len(),
        )
    };
    usize::try_from(read)
        .map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Offsets in `struct linux_dirent64`, after the inode and the position.
const LENGTH: usize = 16;
const NAME: usize = 19;

/// Bytes read at a time. C libraries ask for 32 KiB.
const MOST: usize = 64 << 10;

/// A command that has more directories open at a time reads some of them from a new stream.
const MOST_OPEN: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    fn names(entries: &[u8]) -> BTreeSet<String> {
        let mut rest = entries;
        let mut found = BTreeSet::new();
        while let Some(length) = length_of_entry(rest) {
            found.insert(name_of_entry(&rest[..length]).to_str().unwrap().to_owned());
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn every_name_comes_once_but_the_hidden_ones_for_any_size_of_buffer() {
        let root = tempfile::tempdir().unwrap();
        let all: BTreeSet<String> = (0..300)
            .map(|n| format!("{n}-{}", "x".repeat(n % 90)))
            .collect();
        for name in &all {
            fs::write(root.path().join(name), "").unwrap();
        }
        let is_hidden = |name: &OsStr| name.to_str().unwrap().as_bytes()[0] == b'1';
        for size in [128, 1000, 2048, 32768] {
            let stream = crate::directory::open(root.path()).unwrap();
            let mut entries = vec![0; size];
            let mut found = BTreeSet::new();
            loop {
                let length = read_visible(&stream, &mut entries, is_hidden).unwrap();
                if length == 0 {
                    break;
                }
                for name in names(&entries[..length]) {
                    assert!(found.insert(name.clone()), "{name} twice");
                }
            }
            let expected = all.iter().filter(|name| !name.starts_with('1')).cloned();
            let expected: BTreeSet<String> = expected.chain([".".into(), "..".into()]).collect();
            assert_eq!(found, expected, "{size}");
        }
    }

    #[test]
    fn damaged_entries_end_the_list() {
        for bytes in [&[][..], &[0; 30], &[0xff; 30]] {
            assert_eq!(drop_hidden(&mut bytes.to_vec(), |_| false), 0);
        }
    }
}
