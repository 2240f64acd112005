//! The directory of blobs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yadokari_image::{Descriptor, Digest};

use crate::error::{At, StoreError};
use crate::receive::Flights;
use crate::scratch::{self, ScratchFile};
use crate::writer::{BlobWriter, PlainWriter};

/// A directory of blobs, each under its digest: `blobs/sha256/<hex>`.
///
/// A blob appears complete or not at all: it is written to a temporary file beside
/// its place and renamed. Several processes may share a spool; two of them writing
/// the same blob at once is harmless. Clones are handles to the same spool.
///
/// Nothing is flushed to the medium, so a crash of the machine may leave a blob
/// that is too short: readers that know the size use [`Spool::find`], and
/// [`Spool::verify`] hashes again.
#[derive(Debug, Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    blobs: PathBuf,
    scratch: PathBuf,
    flights: Flights,
}

/// A finished blob on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The SHA-256 of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where it lies; stays valid until the blob is removed from the spool.
    pub path: PathBuf,
}

impl Blob {
    /// Opens the blob for reading from its start.
    ///
    /// # Errors
    ///
    /// Whatever the kernel says; the blob may have been removed meanwhile.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// Reads the whole blob; for manifests and configs, not for layers.
    ///
    /// # Errors
    ///
    /// As [`Blob::open`].
    pub fn read(&self) -> io::Result<Vec<u8>> {
        fs::read(&self.path)
    }
}

impl Spool {
    /// Opens the spool in `directory`, which is made if it is missing.
    ///
    /// Temporary files left by processes that are gone are removed; those of living
    /// processes are locked and stay.
    ///
    /// # Errors
    ///
    /// If a directory cannot be made or listed.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        let directory = directory.as_ref();
        let blobs = directory.join("blobs").join("sha256");
        let scratch = directory.join("scratch");
        for path in [&blobs, &scratch] {
            fs::create_dir_all(path).at("create", path)?;
            scratch::remove_abandoned(path)?;
        }
        let flights = Flights::default();
        Ok(Self {
            inner: Arc::new(Inner {
                blobs,
                scratch,
                flights,
            }),
        })
    }

    /// Starts a blob whose digest is not known yet.
    ///
    /// # Errors
    ///
    /// If the temporary file cannot be made.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        BlobWriter::new(&self.inner.blobs)
    }

    /// Starts a blob whose digest whoever writes it finds out.
    ///
    /// # Errors
    ///
    /// If its file cannot be made.
    pub fn plain_writer(&self) -> Result<PlainWriter, StoreError> {
        PlainWriter::new(&self.inner.blobs)
    }

    /// Makes an empty scratch file, such as for an uncompressed layer.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub fn scratch(&self) -> Result<ScratchFile, StoreError> {
        ScratchFile::new(&self.inner.scratch)
    }

    /// Stores a small blob that is already in memory.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.writer()?;
        writer.append(bytes)?;
        writer.finish()
    }

    /// Copies a blob in from a reader, and refuses anything but the promised bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::DigestMismatch`] or [`StoreError::SizeMismatch`] if other bytes
    /// come, [`StoreError::Source`] if the reader fails.
    pub fn copy_in(
        &self,
        reader: &mut dyn Read,
        descriptor: &Descriptor,
    ) -> Result<Blob, StoreError> {
        if let Some(blob) = self.find(descriptor)? {
            return Ok(blob);
        }
        let mut writer = self.writer()?;
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            let count = read_some(reader, &mut buffer, descriptor)?;
            if count == 0 {
                return writer.finish_expecting(descriptor.digest, descriptor.size);
            }
            writer.append_expecting(&buffer[..count], descriptor)?;
        }
    }

    /// The blob of this digest, if it is there.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn get(&self, digest: &Digest) -> Result<Option<Blob>, StoreError> {
        let path = self.path_of(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(Blob {
                digest: *digest,
                size: metadata.len(),
                path,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("examine", &path, error)),
        }
    }

    /// The blob a descriptor names, if it is there in its full size.
    ///
    /// One of another size is a leftover of a crash; it is removed and counts as missing.
    ///
    /// # Errors
    ///
    /// If the kernel cannot tell.
    pub fn find(&self, descriptor: &Descriptor) -> Result<Option<Blob>, StoreError> {
        match self.get(&descriptor.digest)? {
            Some(blob) if blob.size != descriptor.size => {
                self.remove(&descriptor.digest)?;
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Hashes a blob again.
    ///
    /// # Errors
    ///
    /// [`StoreError::DigestMismatch`] if its bytes are not what its name says.
    pub fn verify(&self, blob: &Blob) -> Result<(), StoreError> {
        let mut file = blob.open().at("open", &blob.path)?;
        let found = crate::writer::digest_of(&mut file).at("read", &blob.path)?;
        if found == blob.digest {
            return Ok(());
        }
        Err(StoreError::DigestMismatch {
            expected: blob.digest,
            found,
        })
    }

    /// Removes a blob; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path_of(digest);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Lists every blob, in no particular order.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn blobs(&self) -> Result<Vec<Blob>, StoreError> {
        let directory = &self.inner.blobs;
        let mut found = Vec::new();
        for entry in fs::read_dir(directory).at("list", directory)? {
            let name = entry.at("list", directory)?.file_name();
            let digest = name
                .to_str()
                .and_then(|hex| format!("sha256:{hex}").parse().ok());
            if let Some(digest) = digest {
                found.extend(self.get(&digest)?);
            }
        }
        Ok(found)
    }

    /// Where the blob of this digest lies, or would lie.
    #[must_use]
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        self.inner.blobs.join(digest.hex())
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.inner.flights
    }
}

/// Bytes moved at a time; large enough that system calls do not show.
pub(crate) const COPY_BUFFER: usize = 256 * 1024;

fn read_some(
    reader: &mut dyn Read,
    buffer: &mut [u8],
    descriptor: &Descriptor,
) -> Result<usize, StoreError> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                return result.map_err(|source| StoreError::Source {
                    digest: descriptor.digest,
                    source,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::descriptor;

    fn spool() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(directory.path()).unwrap();
        (directory, spool)
    }

    #[test]
    fn a_stored_blob_is_found_under_its_digest() {
        let (_keep, spool) = spool();
        let blob = spool.put(b"hello").unwrap();
        assert_eq!(blob.digest, Digest::of(b"hello"));
        assert_eq!(spool.get(&blob.digest).unwrap(), Some(blob.clone()));
        assert_eq!(blob.read().unwrap(), b"hello");
        assert_eq!(spool.blobs().unwrap(), vec![blob.clone()]);
        spool.remove(&blob.digest).unwrap();
        spool.remove(&blob.digest).unwrap();
        assert_eq!(spool.get(&blob.digest).unwrap(), None);
    }

    #[test]
    fn bytes_that_are_not_the_promised_ones_leave_nothing_behind() {
        let (_keep, spool) = spool();
        let promised = descriptor(b"hello");
        for (name, bytes) in [
            ("other", b"hallo".as_slice()),
            ("short", b"hell"),
            ("long", b"hello!"),
            ("none", b""),
        ] {
            let error = spool.copy_in(&mut &bytes[..], &promised).unwrap_err();
            assert!(
                matches!(
                    error,
                    StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. }
                ),
                "{name}: {error}"
            );
            assert_eq!(
                fs::read_dir(&spool.inner.blobs).unwrap().count(),
                0,
                "{name}"
            );
        }
        spool.copy_in(&mut b"hello".as_slice(), &promised).unwrap();
    }

    #[test]
    fn a_blob_cut_short_by_a_crash_counts_as_missing() {
        let (_keep, spool) = spool();
        let promised = descriptor(b"hello");
        fs::write(spool.path_of(&promised.digest), b"hel").unwrap();
        assert_eq!(spool.find(&promised).unwrap(), None);
        assert!(!spool.path_of(&promised.digest).exists());
    }

    #[test]
    fn verify_sees_a_changed_byte() {
        let (_keep, spool) = spool();
        let blob = spool.put(b"hello").unwrap();
        spool.verify(&blob).unwrap();
        fs::write(&blob.path, b"hallo").unwrap();
        let error = spool.verify(&blob).unwrap_err();
        assert!(
            matches!(error, StoreError::DigestMismatch { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_no_blob() {
        let (_keep, spool) = spool();
        let mut writer = spool.writer().unwrap();
        writer.replace_file(File::options().write(true).open("/dev/full").unwrap());
        let error = writer.append(b"hello").unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        drop(writer);
        assert_eq!(fs::read_dir(&spool.inner.blobs).unwrap().count(), 0);
    }
}
