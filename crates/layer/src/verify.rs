//! Bytes that have to be the promised ones.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use yadokari_image::Digest;

/// Passes bytes on and fails at their end, or as soon as there are too many,
/// unless they have the promised size and digest.
///
/// Nothing can be trusted before the end was read. The failure is an
/// [`io::Error`] around a [`VerifyError`].
#[derive(Debug)]
pub struct Verify<R> {
    reader: R,
    hasher: Sha256,
    read: u64,
    size: u64,
    digest: Digest,
}

/// Bytes that are not the promised ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Fewer or more bytes than promised.
    #[error("expected {expected} bytes of {digest}, got {}{found}", if .found > .expected { "at least " } else { "" })]
    Size {
        /// The promised digest.
        digest: Digest,
        /// The promised size in bytes.
        expected: u64,
        /// What there was; reading stopped there if that is more.
        found: u64,
    },
    /// Other bytes than promised.
    #[error("expected content {expected}, got {found}")]
    Digest {
        /// The promised digest.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
}

impl<R: Read> Verify<R> {
    /// Expects exactly `size` bytes with this digest.
    pub fn new(reader: R, digest: Digest, size: u64) -> Self {
        Self {
            reader,
            hasher: Sha256::new(),
            read: 0,
            size,
            digest,
        }
    }

    fn check_end(&self) -> Result<(), VerifyError> {
        self.check_size(self.read == self.size)?;
        let found = Digest::from_sha256(self.hasher.clone().finalize().into());
        if found == self.digest {
            Ok(())
        } else {
            Err(VerifyError::Digest {
                expected: self.digest,
                found,
            })
        }
    }

    fn check_size(&self, right: bool) -> Result<(), VerifyError> {
        let (expected, found) = (self.size, self.read);
        if right {
            Ok(())
        } else {
            Err(VerifyError::Size {
                digest: self.digest,
                expected,
                found,
            })
        }
    }
}

impl<R: Read> Read for Verify<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.reader.read(buffer)?;
        self.read += read as u64;
        self.check_size(self.read <= self.size).map_err(invalid)?;
        if read == 0 {
            self.check_end().map_err(invalid)?;
        }
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

fn invalid(error: VerifyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, VerifyError> {
        let mut all = Vec::new();
        match Verify::new(bytes, digest, size).read_to_end(&mut all) {
            Ok(_) => Ok(all),
            Err(error) => Err(*error.get_ref().unwrap().downcast_ref().unwrap()),
        }
    }

    #[test]
    fn only_the_promised_bytes_reach_their_end() {
        let digest = Digest::of(b"layer");
        assert_eq!(read(b"layer", digest, 5).unwrap(), b"layer");
        let found = Digest::of(b"lager");
        assert_eq!(
            read(b"lager", digest, 5),
            Err(VerifyError::Digest {
                expected: digest,
                found
            })
        );
        assert_eq!(
            read(b"laye", digest, 5),
            Err(VerifyError::Size {
                digest,
                expected: 5,
                found: 4
            })
        );
        assert_eq!(
            read(b"layers", digest, 5),
            Err(VerifyError::Size {
                digest,
                expected: 5,
                found: 6
            })
        );
    }
}
