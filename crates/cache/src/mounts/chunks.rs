//! Streams cut into chunks where their content says so, and chunks as blobs.

use std::io::{self, Read};

use fastcdc::v2020::{Error as CutError, StreamCDC};
use serde::{Deserialize, Serialize};
use yadokari_image::{Descriptor, Digest};

use crate::mounts::error::MountError;

/// How large chunks are, in bytes before compression.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    least: usize,
    average: usize,
    pub(crate) most: usize,
}

/// Chunks of file contents: few enough for a manifest, small enough that a change costs little.
pub(crate) const CONTENT: Sizes = Sizes {
    least: 512 << 10,
    average: 1 << 20,
    most: 4 << 20,
};

/// Chunks of the listing, which is all that changes where a file only got another time.
pub(crate) const LISTING: Sizes = Sizes {
    least: 64 << 10,
    average: 256 << 10,
    most: 1 << 20,
};

/// A chunk of a stream, and the blob that holds it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chunk {
    /// Digest of the bytes before compression.
    pub(crate) raw: Digest,
    /// Their number.
    pub(crate) size: u64,
    /// The blob.
    pub(crate) blob: Descriptor,
}

/// A chunk as a record's configuration has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ListedChunk {
    /// Digest of the bytes before compression.
    pub(crate) raw: Digest,
    /// Their number.
    pub(crate) size: u64,
    /// Which of the manifest's layers holds them, counted from 0.
    pub(crate) layer: usize,
}

/// Cuts a stream. Equal bytes give equal chunks, also after something was put in before them.
pub(crate) fn cut(stream: impl Read, sizes: Sizes) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    StreamCDC::new(stream, sizes.least, sizes.average, sizes.most).map(|chunk| match chunk {
        Ok(chunk) => Ok(chunk.data),
        Err(CutError::IoError(error)) => Err(error),
        Err(other) => Err(io::Error::other(other)),
    })
}

/// Compresses a chunk into a blob.
pub(crate) fn compress(raw: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, LEVEL)
}

/// Gives the bytes of a chunk back and checks them: neither more nor others than the record says.
pub(crate) fn unpack(chunk: &Chunk, blob: &[u8]) -> Result<Vec<u8>, MountError> {
    let damaged = || MountError::Chunk {
        digest: chunk.blob.digest,
    };
    let size = usize::try_from(chunk.size).map_err(|_| damaged())?;
    let raw = zstd::bulk::decompress(blob, size).map_err(|_| damaged())?;
    if raw.len() != size || Digest::of(&raw) != chunk.raw {
        return Err(damaged());
    }
    Ok(raw)
}

/// The largest blob that a chunk of so many bytes can become.
pub(crate) fn largest_blob(size: u64) -> u64 {
    size + size / 128 + 1024
}

/// zstd's own default: half the size of most caches at several hundred megabytes a second.
const LEVEL: i32 = 3;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Bytes without repetition, the same every time.
    pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    fn digests(bytes: &[u8]) -> Vec<Digest> {
        cut(bytes, CONTENT)
            .map(|chunk| Digest::of(&chunk.unwrap()))
            .collect()
    }

    #[test]
    fn bytes_put_in_near_the_start_change_few_chunks() {
        let bytes = noise(24 << 20, 7);
        let mut longer = bytes.clone();
        longer.splice(1000..1000, noise(777, 9));
        let (before, after) = (digests(&bytes), digests(&longer));
        let known: HashSet<_> = before.iter().collect();
        let new = after.iter().filter(|chunk| !known.contains(chunk)).count();
        assert!(before.len() > 8, "{} chunks", before.len());
        assert!(new <= 2, "{new} of {} chunks are new", after.len());
    }

    #[test]
    fn chunks_are_the_whole_stream_in_order_and_no_larger_than_said() {
        for length in [0, 1, 1000, CONTENT.most + 1] {
            let bytes = vec![0; length];
            let chunks: Vec<_> = cut(&*bytes, CONTENT).map(Result::unwrap).collect();
            assert_eq!(chunks.concat(), bytes);
            assert!(chunks.iter().all(|chunk| chunk.len() <= CONTENT.most));
        }
    }

    #[test]
    fn a_chunk_is_what_its_record_says_or_an_error() {
        let raw = noise(10_000, 3);
        let blob = compress(&raw).unwrap();
        let chunk = Chunk {
            raw: Digest::of(&raw),
            size: raw.len() as u64,
            blob: Descriptor::of("x", &blob),
        };
        assert_eq!(unpack(&chunk, &blob).unwrap(), raw);
        assert!(blob.len() as u64 <= largest_blob(chunk.size));
        let bomb = compress(&vec![0; 1 << 20]).unwrap();
        let wrong = [
            (chunk.clone(), bomb),
            (chunk.clone(), blob[..blob.len() - 1].to_vec()),
            (chunk.clone(), b"no zstd".to_vec()),
            (
                Chunk {
                    size: 9_999,
                    ..chunk.clone()
                },
                blob.clone(),
            ),
            (
                Chunk {
                    size: 10_001,
                    ..chunk.clone()
                },
                blob.clone(),
            ),
            (
                Chunk {
                    raw: Digest::of(b""),
                    ..chunk
                },
                blob,
            ),
        ];
        for (chunk, blob) in wrong {
            assert!(unpack(&chunk, &blob).is_err());
        }
    }
}
