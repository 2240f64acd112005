//! Unpacking whatever an archive is compressed with.

use std::io::{self, Chain, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use xz2::read::XzDecoder;
use xz2::stream::{CONCATENATED, Stream};

use crate::ArchiveKind;
use crate::archive_kind::MAGIC_LENGTH;

type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the unpacked bytes of a stream, all its members or frames.
pub(crate) enum Decoder<R: Read> {
    Plain(Whole<R>),
    Gzip(Box<MultiGzDecoder<Whole<R>>>),
    Bzip2(Box<MultiBzDecoder<Whole<R>>>),
    Xz(Box<XzDecoder<Whole<R>>>),
    Zstd(Box<zstd::Decoder<'static, io::BufReader<Whole<R>>>>),
}

impl<R: Read> Decoder<R> {
    /// Chooses by the first bytes.
    pub(crate) fn open(mut reader: R) -> io::Result<Self> {
        let mut start = Vec::with_capacity(MAGIC_LENGTH);
        reader
            .by_ref()
            .take(MAGIC_LENGTH as u64)
            .read_to_end(&mut start)?;
        let kind = ArchiveKind::of_magic(&start);
        let whole = Cursor::new(start).chain(reader);
        Ok(match kind {
            ArchiveKind::Tar => Self::Plain(whole),
            ArchiveKind::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(whole))),
            ArchiveKind::Bzip2 => Self::Bzip2(Box::new(MultiBzDecoder::new(whole))),
            ArchiveKind::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Self::Xz(Box::new(XzDecoder::new_stream(whole, stream)))
            }
            ArchiveKind::Zstd => Self::Zstd(Box::new(zstd::Decoder::new(whole)?)),
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Bzip2(reader) => reader.read(buffer),
            Self::Xz(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}

/// Reads the unpacked bytes of a stream, whatever it is compressed with, all its members or frames.
///
/// Bytes that are compressed in no known way come through as they are.
///
/// # Errors
///
/// If the first bytes cannot be read, or a decoder cannot be made.
pub fn decompressed<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(Box::new(Decoder::open(reader)?))
}

/// What an xz stream may ask for: its largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
