//! Compressed bytes depend on the archive and the level, and on nothing else.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use yadokari_image::Digest;
use yadokari_layer::{CompressError, Compression, LayerReader, Limits, Packed, compress};

/// Gives its bytes in pieces of odd lengths.
struct Dribble<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.step.min(self.bytes.len()).min(buffer.len());
        let (now, rest) = self.bytes.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.bytes = rest;
        Ok(length)
    }
}

/// Text, noise and zeros by turns, so that all kinds of deflate blocks occur.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        match (bytes.len() >> 17) % 3 {
            0 => bytes
                .extend_from_slice(format!("line {} of {}\n", state % 977, state % 13).as_bytes()),
            1 => bytes.extend_from_slice(&state.to_le_bytes()),
            _ => bytes.extend_from_slice(&[0; 61]),
        }
    }
    bytes.truncate(length);
    bytes
}

fn packed(
    bytes: &[u8],
    compression: Compression,
    threads: usize,
    step: usize,
) -> (Packed, Vec<u8>) {
    let mut out = Vec::new();
    let packed = compress(&mut Dribble { bytes, step }, compression, threads, &mut out).unwrap();
    (packed, out)
}

fn unpacked(compressed: Vec<u8>) -> String {
    LayerReader::new(io::Cursor::new(compressed), Limits::default())
        .unwrap()
        .finish()
        .unwrap()
        .to_string()
}

#[test]
fn threads_and_write_sizes_never_show() {
    let bytes = sample((5 << 20) + 12_345);
    for compression in [
        Compression::Gzip { level: 1 },
        Compression::GZIP,
        Compression::Zstd { level: 1 },
        Compression::None,
    ] {
        let (one, first) = packed(&bytes, compression, 1, usize::MAX);
        for (threads, step) in [(1, 4093), (2, 1 << 20), (3, 65_537), (7, 999_999)] {
            assert_eq!(
                packed(&bytes, compression, threads, step),
                (one, first.clone()),
                "{compression:?} {threads}"
            );
        }
        assert_eq!(one.diff_id.as_digest(), Digest::of(&bytes));
        assert_eq!(one.digest, Digest::of(&first));
        assert_eq!(
            (one.size, one.uncompressed_size),
            (first.len() as u64, bytes.len() as u64)
        );
        assert_eq!(unpacked(first), one.diff_id.to_string());
    }
}

#[test]
fn gzip_is_one_member_at_every_length_around_a_block() {
    for length in [0, 1, 511, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20] {
        let bytes = sample(length);
        let (_, compressed) = packed(&bytes, Compression::GZIP, 2, 70_000);
        assert_eq!(&compressed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        let mut decoder = GzDecoder::new(&compressed[..]);
        let mut back = Vec::new();
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == bytes, "{length}");
        assert!(decoder.into_inner().is_empty(), "one member takes all");
    }
}

#[test]
fn every_level_unpacks() {
    let bytes = sample(3 << 20);
    let gzip = (1..=9).map(|level| Compression::Gzip { level });
    let zstd = [-5, 1, 3, 9].map(|level| Compression::Zstd { level });
    for compression in gzip.chain(zstd) {
        let (packed, compressed) = packed(&bytes, compression, 2, 1 << 18);
        assert!(packed.size < packed.uncompressed_size, "{compression:?}");
        assert_eq!(
            unpacked(compressed),
            Digest::of(&bytes).to_string(),
            "{compression:?}"
        );
    }
}

#[test]
fn what_does_not_shrink_is_not_searched_for_long() {
    let text = |length: usize| sample(3 << 17)[..1 << 17].repeat(length >> 17);
    let mut state = 0x9e37_79b9_u32;
    let mut noise: Vec<u8> = Vec::new();
    while noise.len() < 2 << 20 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    let size = |bytes: &[u8], level| {
        packed(bytes, Compression::Gzip { level }, 2, 1 << 20)
            .0
            .size
    };
    assert_eq!(size(&noise, 6), size(&noise, 9));
    assert!(size(&noise, 6) < noise.len() as u64 * 1001 / 1000);
    // Each block is judged by itself, and by all of it.
    let mixed = [&noise[..1 << 20], &text(1 << 20)].concat();
    assert!(size(&mixed, 6) < (1 << 20) + size(&text(1 << 20), 6) + 1000);
    let half = [&noise[..1 << 19], &text(1 << 19)].concat();
    assert!(size(&half, 6) < (1 << 19) + size(&text(1 << 19), 6) + 1000);
}

/// The recorded digests keep images reproducible between versions: a new
/// compressor that changes them changes everybody's layer digests.
#[test]
fn the_bytes_stay_the_same_between_versions() {
    let bytes = sample((2 << 20) + 77);
    let digest =
        |compression| packed(&bytes, compression, 2, 50_000).0.digest.hex()[..16].to_owned();
    let found = [
        Compression::Gzip { level: 1 },
        Compression::GZIP,
        Compression::ZSTD,
    ]
    .map(digest);
    assert_eq!(
        found,
        ["55f335de1df52245", "46a239aa56d2baf4", "d1ed86ab6d0d9100"]
    );
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_not_a_hang() {
    let bytes = sample(9 << 20);
    for compression in [Compression::None, Compression::GZIP, Compression::ZSTD] {
        let error = compress(&mut &bytes[..], compression, 2, &mut Full).unwrap_err();
        assert!(
            matches!(error, CompressError::Output { ref source } if source.kind() == io::ErrorKind::StorageFull),
            "{error:?}"
        );
    }
}
