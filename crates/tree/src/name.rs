//! One component of a path.

use std::borrow::Borrow;
use std::fmt::{self, Debug, Display};
use std::ops::Deref;
use std::sync::Arc;

use crate::Escaped;

/// The name of one directory entry: bytes, ordered as bytes, cheap to clone.
///
/// Never empty, `.` or `..`, and without `/` and NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<[u8]>);

/// Bytes that cannot name a directory entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` cannot be the name of a file", Escaped(.name))]
pub struct NameError {
    /// The refused bytes.
    pub name: Vec<u8>,
}

impl Name {
    /// Checks the bytes of a name.
    ///
    /// # Errors
    ///
    /// If the bytes are empty, `.`, `..`, or hold `/` or NUL.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, NameError> {
        let bytes = name.as_ref();
        let plain =
            !matches!(bytes, b"" | b"." | b"..") && !bytes.iter().any(|b| matches!(b, b'/' | 0));
        if plain {
            Ok(Self(bytes.into()))
        } else {
            Err(NameError {
                name: bytes.to_vec(),
            })
        }
    }

    /// A component of a path that has been split already.
    pub(crate) fn component(bytes: &[u8]) -> Self {
        debug_assert!(!matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/'));
        Self(bytes.into())
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0))
    }
}

impl Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_paths_are_refused() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0"] {
            assert!(Name::new(bad).is_err(), "{}", Escaped(bad));
        }
        for good in [&b"..."[..], b".wh.a", b"\xff", b"a\nb"] {
            assert_eq!(Name::new(good).unwrap().as_bytes(), good);
        }
    }
}
