//! What is known about a file's bytes.

use std::fmt::{self, Debug, Display};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// SHA-256 of a file's bytes. Not a blob's digest: that is another type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest([u8; 32]);

impl ContentDigest {
    /// Hashes bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// Wraps a finished SHA-256.
    pub const fn from_bytes(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentDigest({self})")
    }
}

/// A regular file's size and, once its bytes have passed by, their digest.
///
/// The digest is filled in place by whoever reads the file first, and all
/// clones of the node see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileContent {
    /// Length in bytes.
    pub size: u64,
    digest: OnceLock<ContentDigest>,
}

impl FileContent {
    /// A file whose bytes have not been hashed.
    pub const fn new(size: u64) -> Self {
        Self {
            size,
            digest: OnceLock::new(),
        }
    }

    /// A file whose bytes are known.
    pub fn with_digest(size: u64, digest: ContentDigest) -> Self {
        Self {
            size,
            digest: OnceLock::from(digest),
        }
    }

    /// Size and digest of bytes at hand.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        Self::with_digest(bytes.len() as u64, ContentDigest::of(bytes))
    }

    /// The digest, if the bytes have been hashed.
    pub fn digest(&self) -> Option<ContentDigest> {
        self.digest.get().copied()
    }

    /// Records the digest of bytes that passed by. The first one stays; the
    /// answer is whether `digest` is the recorded one, so `false` means that
    /// the file changed between two readings.
    pub fn set_digest(&self, digest: ContentDigest) -> bool {
        *self.digest.get_or_init(|| digest) == digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_digest_stays() {
        let content = FileContent::new(1);
        assert_eq!(content.digest(), None);
        assert!(content.set_digest(ContentDigest::of("a")));
        assert!(content.set_digest(ContentDigest::of("a")));
        assert!(!content.set_digest(ContentDigest::of("b")));
        assert_eq!(content, FileContent::of("a"));
    }

    #[test]
    fn hex_comes_back() {
        let digest = ContentDigest::of("x");
        assert_eq!(ContentDigest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(ContentDigest::from_hex("abc"), None);
        assert_eq!(ContentDigest::from_hex(&"+1".repeat(32)), None);
    }
}
