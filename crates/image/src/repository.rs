//! [`Repository`]: a registry host and a path on it.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, Reference, ReferenceError};

/// The registry that images of Docker's short names come from.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";

/// A repository: a registry host and the path of images on it, without tag or digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    pub(crate) registry: String,
    pub(crate) path: String,
}

impl Repository {
    /// Reads `host/path` or a short name by the same rules as [`Reference::parse`].
    ///
    /// # Errors
    ///
    /// [`ReferenceError`], also when a tag or digest is given.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let reference = Reference::parse(text)?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(ReferenceError::Format {
                text: text.to_owned(),
            });
        }
        Ok(reference.name().clone())
    }

    /// Takes a host and a path that are already apart, so that a host without dot and port is one too.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Format`] if either does not follow the grammar.
    pub fn new(registry: &str, path: &str) -> Result<Self, ReferenceError> {
        if !crate::reference::is_host(registry) || !crate::reference::is_path(path) {
            return Err(ReferenceError::Format {
                text: format!("{registry}/{path}"),
            });
        }
        Ok(Self {
            registry: registry.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The registry host with its port, `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path on the registry, such as `library/busybox`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Names the image with this tag.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Format`] if `tag` is no valid tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        Reference::bare(self.clone()).with_tag(tag)
    }

    /// Names the image with this digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference::bare(self.clone()).with_digest(digest)
    }

    /// Names the repository below this one, such as `cache`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] if the result is no valid repository.
    pub fn join(&self, component: &str) -> Result<Self, ReferenceError> {
        Self::parse(&format!("{self}/{component}"))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_neither_tag_nor_digest() {
        let repository = Repository::parse("localhost:5000/a/b").unwrap();
        assert_eq!(
            (repository.registry(), repository.path()),
            ("localhost:5000", "a/b")
        );
        assert_eq!(
            repository.join("cache").unwrap().to_string(),
            "localhost:5000/a/b/cache"
        );
        assert_eq!(
            repository.with_tag("1").unwrap().to_string(),
            "localhost:5000/a/b:1"
        );
        for text in ["localhost:5000/a:1", "a@sha256:00", ""] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }
}
