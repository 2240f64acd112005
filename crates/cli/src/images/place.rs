//! What people write for an image.

use std::path::PathBuf;

use yadokari_image::{Digest, Reference};
use yadokari_store::{Flavour, LayoutName};

use super::argument;
use crate::report::Failure;

/// Where an image is, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a registry.
    Registry(Reference),
    /// In an OCI layout directory: by its digest, under a name, or alone.
    Layout {
        path: PathBuf,
        name: Option<String>,
        digest: Option<Digest>,
    },
    /// In an archive.
    Archive { path: PathBuf, flavour: Flavour },
}

impl Place {
    /// Reads a reference, `docker://REFERENCE`, `oci:DIR[:TAG][@DIGEST]`, `oci-archive:FILE` or `docker-archive:FILE`.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let archive = |path: &str, flavour| Self::Archive {
            path: path.into(),
            flavour,
        };
        if let Some(path) = text.strip_prefix("oci-archive:") {
            return Ok(archive(path, Flavour::Oci));
        }
        if let Some(path) = text.strip_prefix("docker-archive:") {
            return Ok(archive(path, Flavour::Docker));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return Ok(layout(rest));
        }
        let name = text.strip_prefix("docker://").unwrap_or(text);
        Ok(Self::Registry(argument(name)?.with_default_tag()))
    }
}

fn layout(text: &str) -> Place {
    let LayoutName { path, tag, digest } = LayoutName::parse(text);
    Place::Layout {
        path: path.into(),
        name: tag,
        digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let layout = |path: &str, name: Option<&str>| Place::Layout {
            path: path.into(),
            name: name.map(str::to_owned),
            digest: None,
        };
        let archive = |flavour| Place::Archive {
            path: "a/b.tar".into(),
            flavour,
        };
        let registry = |text: &str| Place::Registry(Reference::parse(text).unwrap());
        let table = [
            ("oci:dir", layout("dir", None)),
            ("oci:/a/dir:1.0", layout("/a/dir", Some("1.0"))),
            ("oci:/a:b/dir", layout("/a:b/dir", None)),
            ("oci-archive:a/b.tar", archive(Flavour::Oci)),
            ("docker-archive:a/b.tar", archive(Flavour::Docker)),
            ("busybox", registry("docker.io/library/busybox:latest")),
            ("docker://r.example/a:1", registry("r.example/a:1")),
        ];
        for (text, expected) in table {
            assert_eq!(Place::parse(text).unwrap(), expected, "{text}");
        }
        assert!(Place::parse("UPPER").is_err());
    }
}
