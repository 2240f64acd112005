//! [`Manifest`] of one image and [`Index`] over several.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::media_type::{self, Family};
use crate::{Descriptor, Platform, Unknown};

/// The manifest of one image: its config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The manifest's own media type; OCI manifests may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image config blob.
    pub config: Descriptor,
    /// Layer blobs, lowest first. `None` is written `null`, which is how an image without layers looks.
    #[serde(default)]
    pub layers: Option<Vec<Descriptor>>,
    /// The manifest this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "no_annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

/// A list of manifests, usually one per platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The index's own media type; OCI indexes may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in order of preference.
    pub manifests: Vec<Descriptor>,
    /// The manifest this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "no_annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Bytes that are not the document they were taken for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The bytes are not JSON, or a field is missing or of the wrong type.
    #[error("invalid {document}")]
    Json {
        /// Which document was expected.
        document: &'static str,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// `schemaVersion` is not 2.
    #[error("{document} has schema version {version}, only 2 is in use")]
    SchemaVersion {
        /// Which document was expected.
        document: &'static str,
        /// The version found.
        version: u32,
    },
    /// The document names another media type than the one it is read as.
    #[error("{document} says it is `{media_type}`")]
    MediaType {
        /// Which document was expected.
        document: &'static str,
        /// The media type inside the document.
        media_type: String,
    },
    /// The document can be read as a manifest and as an index, so two readers could see two images.
    #[error("{document} also has the field `{field}`")]
    Ambiguous {
        /// Which document was expected.
        document: &'static str,
        /// The field that does not belong there.
        field: &'static str,
    },
}

impl Manifest {
    /// Makes a manifest of the given family. No layers are written as `null`.
    #[must_use]
    pub fn new(family: Family, config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(family.manifest().to_owned()),
            artifact_type: None,
            config,
            layers: (!layers.is_empty()).then_some(layers),
            subject: None,
            annotations: None,
            other: Unknown::new(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] if the bytes are no manifest, or could be taken for an index as well.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        const DOCUMENT: &str = "image manifest";
        check_kind(bytes, DOCUMENT, media_type::is_manifest, "manifests")?;
        decode(bytes, DOCUMENT)
    }

    /// The layers, lowest first; none if the field is `null`.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        self.layers.as_deref().unwrap_or_default()
    }

    /// The family of media types this manifest belongs to, OCI when it does not say.
    #[must_use]
    pub fn family(&self) -> Family {
        self.media_type
            .as_deref()
            .and_then(media_type::family)
            .unwrap_or(Family::Oci)
    }
}

impl Index {
    /// Makes an index of the given family.
    #[must_use]
    pub fn new(family: Family, manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(family.index().to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: None,
            other: Unknown::new(),
        }
    }

    /// Reads an index or manifest list.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] if the bytes are no index, or could be taken for a manifest as well.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        const DOCUMENT: &str = "image index";
        check_kind(bytes, DOCUMENT, media_type::is_index, "layers")?;
        decode(bytes, DOCUMENT)
    }

    /// Picks the manifest that fits `platform` best; of equal ones, the first.
    ///
    /// An entry without a platform fits only if no other entry does and it is the only
    /// one of its kind.
    #[must_use]
    pub fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let mut best: Option<(usize, &Descriptor)> = None;
        for entry in self.manifests.iter().filter(|entry| names_image(entry)) {
            let rank = entry
                .platform
                .as_ref()
                .and_then(|offered| platform.rank(offered));
            if let Some(rank) = rank
                && best.is_none_or(|(lowest, _)| rank < lowest)
            {
                best = Some((rank, entry));
            }
        }
        best.map(|(_, entry)| entry).or_else(|| self.unlabelled())
    }

    /// The platforms on offer, in the index's order.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.manifests
            .iter()
            .filter(|entry| names_image(entry))
            .filter_map(|entry| entry.platform.as_ref())
            .filter(|platform| platform.os != "unknown")
    }

    fn unlabelled(&self) -> Option<&Descriptor> {
        let mut entries = self
            .manifests
            .iter()
            .filter(|entry| entry.platform.is_none() && names_image(entry));
        let only = entries.next()?;
        entries.next().is_none().then_some(only)
    }
}

/// Whether an index entry is an image manifest or a nested index.
fn names_image(entry: &Descriptor) -> bool {
    let media_type = entry.media_type.as_str();
    media_type::is_manifest(media_type) || media_type::is_index(media_type)
}

pub(crate) fn no_annotations(annotations: &Option<BTreeMap<String, String>>) -> bool {
    annotations.as_ref().is_none_or(BTreeMap::is_empty)
}

/// The fields that tell documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
}

fn check_kind(
    bytes: &[u8],
    document: &'static str,
    expected: fn(&str) -> bool,
    foreign: &'static str,
) -> Result<(), DocumentError> {
    let kind: Kind = decode(bytes, document)?;
    if kind.schema_version != 2 {
        return Err(DocumentError::SchemaVersion {
            document,
            version: kind.schema_version,
        });
    }
    if let Some(media_type) = kind.media_type.filter(|found| !expected(found)) {
        return Err(DocumentError::MediaType {
            document,
            media_type,
        });
    }
    let ambiguous = match foreign {
        "layers" => kind.layers.is_some(),
        _ => kind.manifests.is_some(),
    };
    if ambiguous {
        return Err(DocumentError::Ambiguous {
            document,
            field: foreign,
        });
    }
    Ok(())
}

fn decode<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    document: &'static str,
) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { document, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, json};

    fn config() -> Descriptor {
        Descriptor::of(media_type::OCI_CONFIG, b"{}")
    }

    fn entry(platform: &str) -> Descriptor {
        Descriptor {
            platform: Some(Platform::parse(platform).unwrap()),
            ..Descriptor::of(media_type::OCI_MANIFEST, platform.as_bytes())
        }
    }

    #[test]
    fn an_image_without_layers_has_null_for_them() {
        let manifest = Manifest::new(Family::Oci, config(), Vec::new());
        let text = String::from_utf8(json::indented(&manifest)).unwrap();
        assert!(text.ends_with("\"layers\": null\n}"), "{text}");
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
    }

    #[test]
    fn keys_come_in_the_order_of_the_specification() {
        let mut manifest = Manifest::new(Family::Docker, config(), vec![config()]);
        manifest.annotations = Some([("a".to_owned(), "b".to_owned())].into());
        manifest.subject = Some(config());
        let text = String::from_utf8(json::compact(&manifest)).unwrap();
        let keys = [
            "schemaVersion",
            "mediaType\":\"application/vnd.docker.d",
            "config",
            "layers",
            "subject",
            "annotations",
        ];
        let places: Vec<_> = keys
            .iter()
            .map(|key| {
                text.find(&format!("\"{key}"))
                    .unwrap_or_else(|| panic!("{key}: {text}"))
            })
            .collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn documents_that_two_readers_see_differently_are_refused() {
        let both = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}}"#,
            String::from_utf8(json::compact(&config())).unwrap()
        );
        assert!(matches!(
            Manifest::parse(both.as_bytes()),
            Err(DocumentError::Ambiguous { .. })
        ));
        assert!(matches!(
            Index::parse(both.as_bytes()),
            Err(DocumentError::Ambiguous { .. })
        ));
        let index = json::compact(&Index::new(Family::Oci, Vec::new()));
        assert!(matches!(
            Manifest::parse(&index),
            Err(DocumentError::MediaType { .. })
        ));
        let old = br#"{"schemaVersion":1}"#;
        assert!(matches!(
            Manifest::parse(old),
            Err(DocumentError::SchemaVersion { version: 1, .. })
        ));
    }

    #[test]
    fn the_closest_variant_is_selected() {
        let index = Index::new(
            Family::Oci,
            [
                "linux/amd64",
                "linux/arm/v5",
                "linux/arm/v6",
                "linux/arm/v7",
                "linux/arm64",
            ]
            .map(entry)
            .into(),
        );
        let cases = [
            ("linux/arm/v8", "linux/arm/v7"),
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/arm64", "linux/arm64"),
            ("linux/amd64/v3", "linux/amd64"),
        ];
        for (wanted, expected) in cases {
            let found = index.select(&Platform::parse(wanted).unwrap());
            assert_eq!(found, Some(&entry(expected)), "{wanted}");
        }
        assert_eq!(index.select(&Platform::parse("linux/s390x").unwrap()), None);
    }

    #[test]
    fn attestations_are_never_selected() {
        let attestation = Descriptor {
            platform: Some(Platform::new("unknown", "unknown")),
            ..Descriptor::new(media_type::OCI_MANIFEST, Digest::of(b"a"), 1)
        };
        let index = Index::new(Family::Oci, vec![attestation, entry("linux/amd64")]);
        let found = index.select(&Platform::new("linux", "amd64"));
        assert_eq!(found, Some(&entry("linux/amd64")));
        assert_eq!(index.platforms().count(), 1);
        assert_eq!(index.select(&Platform::new("linux", "arm64")), None);
    }

    #[test]
    fn unknown_fields_survive() {
        let text = r#"{"schemaVersion":2,"manifests":[],"x":{"b":1,"a":2}}"#;
        let index = Index::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(json::compact(&index)).unwrap(), text);
    }
}
