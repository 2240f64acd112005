//! Layers in one pass: tar, digest, compression, digest, output.

use std::io::{self, Read, Write};

use yadokari_image::{DiffId, Digest};
use yadokari_tree::Changes;
use zstd::zstd_safe::CParameter;

use crate::blocks::{Blocks, Bytes};
use crate::digests::{BackgroundDigest, Metered};
use crate::gzip::Gzip;
use crate::{CompressError, Compression, Contents, TarOptions, WriteError, write_tar};

/// What became of a layer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Digest of the tar archive.
    pub diff_id: DiffId,
    /// Digest of what was written.
    pub digest: Digest,
    /// Bytes written.
    pub size: u64,
    /// Bytes of the tar archive.
    pub uncompressed_size: u64,
}

/// How a layer is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackOptions {
    /// What may differ in the archive.
    pub tar: TarOptions,
    /// How it is compressed.
    pub compression: Compression,
    /// How many threads compress, at least 1. Never shows in the bytes.
    pub threads: usize,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            tar: TarOptions::default(),
            compression: Compression::default(),
            threads: 1,
        }
    }
}

/// Writes changes as a compressed layer, in one pass and with fixed buffers.
///
/// The caller's thread reads files and writes `out`; the archive is hashed and
/// compressed on others. Equal changes and options but for
/// [`threads`](PackOptions::threads) give equal bytes.
///
/// # Errors
///
/// If a file cannot be read or is not what its node says, or `out` fails.
pub fn pack(
    changes: &Changes,
    contents: &dyn Contents,
    options: &PackOptions,
    out: &mut dyn Write,
) -> Result<Packed, WriteError> {
    let mut packer = Packer::start(options.compression, options.threads, out)?;
    let written = write_tar(changes, contents, &options.tar, &mut packer);
    // The adapter can only report a compressor's failure as one of its output.
    match packer.failure.take() {
        Some(failure) => Err(failure.into()),
        None => written.and_then(|()| Ok(packer.finish()?)),
    }
}

/// Compresses a finished tar archive, in one pass and with fixed buffers.
///
/// # Errors
///
/// If `input` or `out` fail, or the level does not exist.
pub fn compress(
    input: &mut dyn Read,
    compression: Compression,
    threads: usize,
    out: &mut dyn Write,
) -> Result<Packed, CompressError> {
    let mut packer = Packer::start(compression, threads, out)?;
    let mut buffer = vec![0; INPUT_BUFFER];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return packer.finish(),
            Ok(read) => packer.push(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(CompressError::Input { source }),
        }
    }
}

/// A tar archive goes in by [`Write`], a layer comes out.
struct Packer<'a> {
    blocks: Blocks,
    diff_id: BackgroundDigest,
    compressor: Compressor<'a>,
    taken: u64,
    failure: Option<CompressError>,
}

enum Compressor<'a> {
    None(Metered<'a>),
    Gzip(Gzip<Metered<'a>>),
    Zstd(zstd::Encoder<'static, Metered<'a>>),
}

impl<'a> Packer<'a> {
    fn start(
        compression: Compression,
        threads: usize,
        out: &'a mut dyn Write,
    ) -> Result<Self, CompressError> {
        compression.check()?;
        let compressor = Compressor::start(compression, threads, out)?;
        let diff_id = BackgroundDigest::start()?;
        Ok(Self {
            blocks: Blocks::default(),
            diff_id,
            compressor,
            taken: 0,
            failure: None,
        })
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), CompressError> {
        self.taken += bytes.len() as u64;
        while !bytes.is_empty() {
            let (taken, full) = self.blocks.fill(bytes);
            bytes = &bytes[taken..];
            if let Some(block) = full {
                self.diff_id.push(block.clone())?;
                self.compressor.push(block, false)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Packed, CompressError> {
        let last = self.blocks.finish();
        self.diff_id.push(last.clone())?;
        self.compressor.push(last, true)?;
        let out = self.compressor.finish()?;
        let diff_id = self.diff_id.finish()?;
        let size = out.written;
        let digest = out.digest().unwrap_or(diff_id);
        Ok(Packed {
            diff_id: DiffId::from_digest(diff_id),
            digest,
            size,
            uncompressed_size: self.taken,
        })
    }
}

impl Write for Packer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failure = Some(error);
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> Compressor<'a> {
    fn start(
        compression: Compression,
        threads: usize,
        out: &'a mut dyn Write,
    ) -> Result<Self, CompressError> {
        match compression {
            Compression::None => Ok(Self::None(Metered::counting(out))),
            Compression::Gzip { level } => {
                Gzip::start(Metered::hashing(out), level, threads).map(Self::Gzip)
            }
            Compression::Zstd { level } => zstd_encoder(Metered::hashing(out), level, threads)
                .map(Self::Zstd)
                .map_err(|source| CompressError::Compressor { source }),
        }
    }

    fn push(&mut self, block: Bytes, last: bool) -> Result<(), CompressError> {
        let written = match self {
            Self::Gzip(gzip) => return gzip.push(block, last),
            Self::None(out) => out.write_all(&block),
            Self::Zstd(encoder) => encoder.write_all(&block),
        };
        written.map_err(|source| CompressError::Output { source })
    }

    fn finish(self) -> Result<Metered<'a>, CompressError> {
        let mut out = match self {
            Self::None(out) => out,
            Self::Gzip(gzip) => gzip.finish()?,
            Self::Zstd(encoder) => encoder
                .finish()
                .map_err(|source| CompressError::Output { source })?,
        };
        out.flush()
            .map_err(|source| CompressError::Output { source })?;
        Ok(out)
    }
}

/// Always with workers: without any, zstd cuts its blocks elsewhere and the
/// bytes are others.
fn zstd_encoder(
    out: Metered<'_>,
    level: i32,
    threads: usize,
) -> io::Result<zstd::Encoder<'static, Metered<'_>>> {
    let mut encoder = zstd::Encoder::new(out, level)?;
    encoder.include_checksum(true)?;
    encoder.multithread(u32::try_from(threads.clamp(1, MOST_ZSTD_THREADS)).unwrap_or(1))?;
    encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
    Ok(encoder)
}

/// What one thread compresses at a time, in bytes. Without a bound, zstd takes several times its window for each; with half
/// of this, a high level takes a third longer.
const ZSTD_JOB: u32 = 2 << 20;

/// Each has a job, what was before it, and room for what becomes of it.
const MOST_ZSTD_THREADS: usize = 16;

/// Bytes read from an archive at once.
const INPUT_BUFFER: usize = 256 * 1024;
