//! What is exported, and the two small files that list it.

use std::collections::BTreeMap;

use serde::Serialize;
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Index, Reference, json};

use crate::content::ExportError;
use crate::image_blobs::ImageBlobs;

/// Annotation of an index entry: the tag, or the digest of a reference without one.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of an index entry: the full name, as containerd's tools read it.
pub const IMAGE_NAME: &str = "io.containerd.image.name";
/// Annotation of an index entry: when it was exported.
pub const CREATED: &str = "org.opencontainers.image.created";

/// The manifest or the index of manifests that is exported.
#[derive(Debug, Clone)]
pub enum Content {
    /// One image.
    Image(ImageBlobs),
    /// An image index and all manifests it lists.
    Index {
        /// The index, byte for byte.
        bytes: Vec<u8>,
        /// Media type of the index.
        media_type: String,
        /// The manifests it lists, attestations included.
        images: Vec<ImageBlobs>,
    },
}

/// One thing to export, under any number of names.
#[derive(Debug, Clone)]
pub struct Export {
    /// What is exported.
    pub content: Content,
    /// Its names. Without any it gets one nameless entry.
    pub names: Vec<Reference>,
    /// The time of the export, RFC 3339, for the entry's annotation.
    pub created: Option<String>,
    /// Further annotations of the entry.
    pub annotations: BTreeMap<String, String>,
}

impl Export {
    /// Exports without name, time or annotations.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self {
            content,
            names: Vec::new(),
            created: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The manifests in it.
    #[must_use]
    pub fn images(&self) -> &[ImageBlobs] {
        match &self.content {
            Content::Image(image) => std::slice::from_ref(image),
            Content::Index { images, .. } => images,
        }
    }

    /// The entries of `index.json`: one per name.
    pub(crate) fn entries(&self) -> Vec<Descriptor> {
        if self.names.is_empty() {
            return vec![self.entry(None)];
        }
        self.names
            .iter()
            .map(|name| self.entry(Some(name)))
            .collect()
    }

    fn entry(&self, name: Option<&Reference>) -> Descriptor {
        let mut entry = self.described();
        let mut annotations = entry.annotations.take().unwrap_or_default();
        annotations.extend(self.annotations.clone());
        if let Some(created) = &self.created {
            annotations.insert(CREATED.to_owned(), created.clone());
        }
        if let Some(name) = name {
            let name = name.clone().with_default_tag();
            annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
            annotations.insert(REF_NAME.to_owned(), short_name(&name));
        }
        entry.annotations = Some(annotations).filter(|map| !map.is_empty());
        entry
    }

    fn described(&self) -> Descriptor {
        match &self.content {
            Content::Image(image) => {
                let mut entry = image.descriptor().clone();
                entry.platform = image.platform();
                entry.artifact_type = image.artifact_type();
                entry
            }
            Content::Index {
                bytes, media_type, ..
            } => Descriptor::of(media_type, bytes),
        }
    }
}

fn short_name(name: &Reference) -> String {
    let digest = || name.digest().map(|digest| digest.to_string());
    let tag = name.tag().map(str::to_owned);
    tag.or_else(digest).unwrap_or_else(|| name.to_string())
}

/// The bytes of an `index.json` with these entries.
pub(crate) fn index_json(entries: Vec<Descriptor>) -> Vec<u8> {
    json::compact(&Index::new(Family::Oci, entries))
}

/// One item of a docker archive's `manifest.json`.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ArchiveItem {
    pub(crate) config: String,
    #[serde(default)]
    pub(crate) repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<String>>,
}

/// The bytes of a `manifest.json`: the images under the names people type.
pub(crate) fn manifest_json(exports: &[Export]) -> Result<Vec<u8>, ExportError> {
    let items: Result<Vec<_>, _> = exports.iter().map(archive_item).collect();
    Ok(json::compact(&items?))
}

fn archive_item(export: &Export) -> Result<ArchiveItem, ExportError> {
    let Content::Image(image) = &export.content else {
        return Err(ExportError::SeveralPlatforms);
    };
    let layers = image.layers().iter();
    Ok(ArchiveItem {
        config: blob_name(&image.config_descriptor().digest),
        repo_tags: Some(export.names.iter().map(tagged).collect()),
        layers: Some(
            layers
                .map(|layer| blob_name(&layer.descriptor().digest))
                .collect(),
        ),
    })
}

fn tagged(name: &Reference) -> String {
    name.clone().with_default_tag().familiar()
}

/// Where a blob lies below the root of a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[cfg(test)]
mod tests {
    use yadokari_image::media_type;

    use super::*;
    use crate::testing::export;

    #[test]
    fn each_name_gets_an_entry_with_its_annotations() {
        let entries = export(&[], &["busybox", "example.com/a/b:1"]).entries();
        let names: Vec<_> = entries
            .iter()
            .map(|entry| {
                let annotations = entry.annotations.as_ref().unwrap();
                assert_eq!(annotations[CREATED], "2020-01-01T00:00:00Z");
                assert_eq!(entry.platform.as_ref().unwrap().to_string(), "linux/amd64");
                (
                    annotations[IMAGE_NAME].as_str(),
                    annotations[REF_NAME].as_str(),
                )
            })
            .collect();
        let expected = [
            ("docker.io/library/busybox:latest", "latest"),
            ("example.com/a/b:1", "1"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_export_without_a_name_has_one_entry_without_names() {
        let entries = export(&[], &[]).entries();
        let annotations = entries[0].annotations.as_ref().unwrap();
        assert_eq!(annotations.keys().collect::<Vec<_>>(), [CREATED]);
    }

    #[test]
    fn the_archive_lists_familiar_names_and_layers_in_order() {
        let export = export(&[b"one", b"two"], &["docker.io/library/busybox:1"]);
        let text = String::from_utf8(manifest_json(&[export]).unwrap()).unwrap();
        let layers = [b"one", b"two"].map(|bytes| blob_name(&Digest::of(bytes.as_slice())));
        assert!(text.starts_with("[{\"Config\":\"blobs/sha256/"), "{text}");
        assert!(text.contains("\"RepoTags\":[\"busybox:1\"]"), "{text}");
        assert!(text.contains(&format!("\"Layers\":[\"{}\",\"{}\"]", layers[0], layers[1])));
    }

    #[test]
    fn an_index_does_not_fit_into_a_docker_archive() {
        let index = Export::new(Content::Index {
            bytes: b"{}".to_vec(),
            media_type: media_type::OCI_INDEX.to_owned(),
            images: Vec::new(),
        });
        assert!(matches!(
            manifest_json(&[index]),
            Err(ExportError::SeveralPlatforms)
        ));
    }
}
