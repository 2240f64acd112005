//! Media types of manifests, configs and layers, in both families in use.

/// The OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An uncompressed OCI layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// An OCI layer under gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// An OCI layer under zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty object `{}`, as the config of artifacts.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The Docker schema 2 image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// An uncompressed Docker layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// A Docker layer under gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// A Docker layer under zstd, as some builders write it.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";

/// The retired Docker schema 1 manifest.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// The retired Docker schema 1 manifest with a signature.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";

/// Which of the two families of media types an image uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `application/vnd.oci.image.…`
    Oci,
    /// `application/vnd.docker.…`, schema 2
    Docker,
}

/// How a layer blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerCompression {
    /// The blob is the tar archive itself.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Family {
    /// The media type of a manifest of this family.
    #[must_use]
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Oci => OCI_MANIFEST,
            Self::Docker => DOCKER_MANIFEST,
        }
    }

    /// The media type of an index of this family.
    #[must_use]
    pub const fn index(self) -> &'static str {
        match self {
            Self::Oci => OCI_INDEX,
            Self::Docker => DOCKER_INDEX,
        }
    }

    /// The media type of an image config of this family.
    #[must_use]
    pub const fn config(self) -> &'static str {
        match self {
            Self::Oci => OCI_CONFIG,
            Self::Docker => DOCKER_CONFIG,
        }
    }

    /// The media type of a layer of this family.
    #[must_use]
    pub const fn layer(self, compression: LayerCompression) -> &'static str {
        match (self, compression) {
            (Self::Oci, LayerCompression::None) => OCI_LAYER,
            (Self::Oci, LayerCompression::Gzip) => OCI_LAYER_GZIP,
            (Self::Oci, LayerCompression::Zstd) => OCI_LAYER_ZSTD,
            (Self::Docker, LayerCompression::None) => DOCKER_LAYER,
            (Self::Docker, LayerCompression::Gzip) => DOCKER_LAYER_GZIP,
            (Self::Docker, LayerCompression::Zstd) => DOCKER_LAYER_ZSTD,
        }
    }
}

/// Says which family a media type belongs to, by its prefix.
#[must_use]
pub fn family(media_type: &str) -> Option<Family> {
    if media_type.starts_with("application/vnd.oci.") {
        Some(Family::Oci)
    } else if media_type.starts_with("application/vnd.docker.") {
        Some(Family::Docker)
    } else {
        None
    }
}

/// Whether this is an image manifest of either family.
#[must_use]
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether this is an index or manifest list.
#[must_use]
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether this is an image config of either family.
#[must_use]
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Whether this is a filesystem layer, of either family, foreign ones included.
#[must_use]
pub fn is_layer(media_type: &str) -> bool {
    compression(media_type).is_some()
}

/// Whether this is a layer that registries refuse to hold ("foreign" or
/// "nondistributable") and that is fetched from its `urls`.
#[must_use]
pub fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with(OCI_FOREIGN) || media_type.starts_with(DOCKER_FOREIGN)
}

/// The compression that a layer's media type names, `None` if it is no layer.
#[must_use]
pub fn compression(media_type: &str) -> Option<LayerCompression> {
    let suffix = [OCI_LAYER, DOCKER_LAYER, OCI_FOREIGN, DOCKER_FOREIGN]
        .into_iter()
        .find_map(|prefix| media_type.strip_prefix(prefix))?;
    match suffix {
        "" => Some(LayerCompression::None),
        "+gzip" | ".gzip" => Some(LayerCompression::Gzip),
        "+zstd" | ".zstd" => Some(LayerCompression::Zstd),
        _ => None,
    }
}

/// Converts the media type of a manifest, index, config or layer to the other
/// family; what is none of these, or already there, comes back as it is.
#[must_use]
pub fn in_family(media_type: &str, wanted: Family) -> String {
    if is_foreign(media_type) {
        return media_type.to_owned();
    }
    let converted = if is_manifest(media_type) {
        wanted.manifest()
    } else if is_index(media_type) {
        wanted.index()
    } else if is_config(media_type) {
        wanted.config()
    } else if let Some(compression) = compression(media_type) {
        wanted.layer(compression)
    } else {
        media_type
    };
    converted.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_read_from_the_media_type() {
        let cases = [
            (OCI_LAYER, Some(LayerCompression::None)),
            (OCI_LAYER_GZIP, Some(LayerCompression::Gzip)),
            (DOCKER_LAYER_ZSTD, Some(LayerCompression::Zstd)),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                Some(LayerCompression::Gzip),
            ),
            ("application/vnd.oci.image.layer.v1.tar+encrypted", None),
            (OCI_CONFIG, None),
        ];
        for (media_type, expected) in cases {
            assert_eq!(compression(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn conversion_keeps_the_kind_and_the_compression() {
        let oci = [
            OCI_MANIFEST,
            OCI_INDEX,
            OCI_CONFIG,
            OCI_LAYER,
            OCI_LAYER_GZIP,
            OCI_LAYER_ZSTD,
        ];
        for media_type in oci {
            let docker = in_family(media_type, Family::Docker);
            assert_eq!(family(&docker), Some(Family::Docker));
            assert_eq!(in_family(&docker, Family::Oci), media_type);
        }
        assert_eq!(in_family("text/plain", Family::Oci), "text/plain");
    }
}
