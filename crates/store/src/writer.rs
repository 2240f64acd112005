//! Writes one blob and hashes it on the way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use yadokari_image::{Descriptor, Digest};

use crate::error::{At, StoreError};
use crate::scratch::ScratchFile;
use crate::spool::Blob;

/// A blob being written; dropped unfinished, it leaves nothing.
///
/// Writes are not buffered: hand over pieces of some size. The error of a failed
/// [`Write`] carries the path in its text; [`BlobWriter::append`] gives it typed.
#[derive(Debug)]
pub struct BlobWriter {
    plain: PlainWriter,
    hasher: Sha256,
}

/// A blob being written whose digest whoever writes it finds out; dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct PlainWriter {
    file: ScratchFile,
    directory: PathBuf,
    size: u64,
}

impl PlainWriter {
    pub(crate) fn new(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            file: ScratchFile::new(directory)?,
            directory: directory.to_path_buf(),
            size: 0,
        })
    }

    /// Puts the blob in its place, under the digest of what was written: it is not hashed again.
    ///
    /// # Errors
    ///
    /// [`StoreError::SizeMismatch`] if other bytes were written than the digest was taken of; if the rename fails.
    pub fn finish_as(self, digest: Digest, size: u64) -> Result<Blob, StoreError> {
        if self.size != size {
            return Err(StoreError::SizeMismatch {
                digest,
                expected: size,
                found: self.size,
            });
        }
        let path = self.directory.join(digest.hex());
        self.file.rename_to(&path)?;
        Ok(Blob { digest, size, path })
    }
}

impl Write for PlainWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self
            .file
            .write(bytes)
            .map_err(|error| self.file.name(error))?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    pub(crate) fn new(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            plain: PlainWriter::new(directory)?,
            hasher: Sha256::new(),
        })
    }

    /// Opens what is written for reading, from its start.
    pub(crate) fn reopen(&self) -> Result<File, StoreError> {
        self.plain.file.reopen()
    }

    /// How many bytes were written so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.plain.size
    }

    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`StoreError::DiskFull`] if there is no room; the blob is then beyond use.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let plain = &mut self.plain;
        let written = plain.file.write_all(bytes);
        written.at("write", plain.file.path())?;
        plain.size += bytes.len() as u64;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Appends, but refuses what goes past the promised size before it fills the disk.
    pub(crate) fn append_expecting(
        &mut self,
        bytes: &[u8],
        descriptor: &Descriptor,
    ) -> Result<(), StoreError> {
        let found = self.size() + bytes.len() as u64;
        if found > descriptor.size {
            return Err(StoreError::SizeMismatch {
                digest: descriptor.digest,
                expected: descriptor.size,
                found,
            });
        }
        self.append(bytes)
    }

    /// Puts the blob in its place, under the digest of what was written.
    ///
    /// # Errors
    ///
    /// If the rename fails.
    pub fn finish(self) -> Result<Blob, StoreError> {
        let size = self.size();
        self.plain.finish_as(digest_from(self.hasher), size)
    }

    /// Puts the blob in its place if it is the promised one.
    ///
    /// # Errors
    ///
    /// [`StoreError::SizeMismatch`] or [`StoreError::DigestMismatch`] if it is another;
    /// nothing is left then.
    pub fn finish_expecting(self, digest: Digest, size: u64) -> Result<Blob, StoreError> {
        let found = digest_from(self.hasher);
        if self.plain.size == size && found != digest {
            return Err(StoreError::DigestMismatch {
                expected: digest,
                found,
            });
        }
        self.plain.finish_as(digest, size)
    }

    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: std::fs::File) {
        self.plain.file.replace_file(file);
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.plain.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.plain.flush()
    }
}

/// Hashes everything a reader gives.
pub(crate) fn digest_of(reader: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; crate::spool::COPY_BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(digest_from(hasher)),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn digest_from(hasher: Sha256) -> Digest {
    Digest::from_sha256(hasher.finalize().into())
}
