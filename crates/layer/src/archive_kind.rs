//! Telling archives from other files.

use std::io::{self, Cursor, Read};

use crate::decompress::Decoder;
use crate::members::Members;
use crate::stream::Stream;
use crate::{Limits, ReadError};

/// A tar archive, and what it is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveKind {
    /// Not compressed.
    Tar,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

impl ArchiveKind {
    /// Tells whether a file is a tar archive, from its content alone: what it
    /// unpacks to must begin with a tar member. Empty archives, zip files and
    /// compressed files of other kinds are none.
    ///
    /// Reads the beginning; open the file again to unpack it.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. A damaged one is no archive.
    pub fn sniff(mut file: impl Read) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        file.by_ref()
            .take(MAGIC_LENGTH as u64)
            .read_to_end(&mut start)?;
        let kind = Self::of_magic(&start);
        let mut source = Recorded {
            reader: Cursor::new(start).chain(file),
            failure: None,
        };
        let found = begins_with_member(&mut source);
        match source.failure {
            Some(failure) => Err(failure),
            None => Ok(found.then_some(kind)),
        }
    }

    /// The compression by its magic bytes; without any, none.
    pub(crate) fn of_magic(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            // The second is a frame to be skipped, which some tools put first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Tar,
        }
    }
}

/// Enough bytes for every magic.
pub(crate) const MAGIC_LENGTH: usize = 6;

fn begins_with_member(source: &mut dyn Read) -> bool {
    let first = Decoder::open(source)
        .map_err(ReadError::from_io)
        .and_then(|decoder| {
            let stream = Stream::inline(Box::new(decoder), u64::MAX);
            Members::new(stream, Limits::default())
                .next_member()
                .map(|member| member.is_some())
        });
    first.unwrap_or(false)
}

/// Remembers that reading itself failed, to tell it from damage.
struct Recorded<R> {
    reader: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Recorded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}
