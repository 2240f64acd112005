//! Small documents as ordinary images: a label holds the text, so that any registry takes it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use yadokari_image::media_type::{self, Family};
use yadokari_image::{
    ContainerConfig, Descriptor, DiffId, Digest, ImageConfig, Manifest, Platform, RootFs, json,
};

use crate::CacheError;
use crate::record::Documents;

/// The documents of a note, and the layer that is in them for form's sake.
pub(crate) struct Note {
    /// When it was written, RFC 3339.
    pub(crate) made: String,
    pub(crate) documents: Documents,
    pub(crate) layer: Vec<u8>,
    pub(crate) layer_descriptor: Descriptor,
}

/// When a note was written.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";

/// The largest configuration that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

/// The scope that a note belongs to, as a label: tags of different scopes differ, and who moves one is found out.
const SCOPE: &str = "dev.yadokari.cache.scope";

/// Writes a note under a label.
pub(crate) fn write<T: Serialize>(
    label: &str,
    scope: Option<&str>,
    made: String,
    content: &T,
) -> Note {
    // An archive without entries: some registries want a layer in every image.
    let layer = vec![0; 1024];
    let layer_descriptor = Descriptor::of(media_type::OCI_LAYER, &layer);
    let text = String::from_utf8(json::compact(content)).expect("JSON is text");
    let mut labels = BTreeMap::from([(label.to_owned(), text)]);
    labels.extend(scope.map(|scope| (SCOPE.to_owned(), scope.to_owned())));
    let platform = Platform::new("linux", "amd64");
    let config = ImageConfig {
        created: Some(made.clone()),
        config: ContainerConfig {
            labels,
            ..ContainerConfig::default()
        },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: Some(vec![DiffId::from_digest(Digest::of(&layer))]),
        },
        ..ImageConfig::new(&platform)
    };
    let config = json::compact(&config);
    let config_descriptor = Descriptor::of(Family::Oci.config(), &config);
    let mut manifest = Manifest::new(
        Family::Oci,
        config_descriptor.clone(),
        vec![layer_descriptor.clone()],
    );
    manifest.annotations = Some(BTreeMap::from([(CREATED.to_owned(), made.clone())]));
    Note {
        made,
        documents: Documents {
            manifest: json::indented(&manifest),
            config,
            config_descriptor,
            media_type: Family::Oci.manifest(),
        },
        layer,
        layer_descriptor,
    }
}

/// Reads the note under a label from the configuration that carries it.
pub(crate) fn read<T: DeserializeOwned>(
    label: &str,
    scope: Option<&str>,
    config: &[u8],
) -> Result<T, CacheError> {
    let wrong = |reason: String| CacheError::NoNote { reason };
    let config = ImageConfig::parse(config).map_err(|error| wrong(error.to_string()))?;
    let labels = &config.config.labels;
    if labels.get(SCOPE).map(String::as_str) != scope {
        return Err(wrong("it belongs to another scope".to_owned()));
    }
    let text = labels
        .get(label)
        .ok_or_else(|| wrong(format!("it has no label {label}")))?;
    serde_json::from_str(text).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fact, Origin, Trail, TrailStage, TrailStep, Trails};

    #[test]
    fn a_note_survives_its_image() {
        let fact = Fact {
            name: "a".to_owned(),
            value: Some("b \"c\"".to_owned()),
        };
        let step = TrailStep {
            title: "RUN make".to_owned(),
            facts: vec![fact],
            ..TrailStep::default()
        };
        let stage = TrailStage {
            name: "build".to_owned(),
            steps: vec![step],
            ..TrailStage::default()
        };
        let trail = Trail {
            made: "2020-01-02T03:04:05Z".to_owned(),
            origin: Origin {
                inputs: "abc".to_owned(),
                outputs: String::new(),
            },
            stages: vec![stage],
        };
        let trails = Trails {
            builds: vec![trail],
        };
        for scope in [None, Some("main")] {
            let note = write("label", scope, "2020-01-02T03:04:05Z".to_owned(), &trails);
            let config = &note.documents.config;
            assert_eq!(read::<Trails>("label", scope, config).unwrap(), trails);
            assert!(read::<Trails>("other", scope, config).is_err());
            assert!(read::<Trails>("label", scope, b"{}").is_err());
            for other in [None, Some("main"), Some("feature")] {
                let found = read::<Trails>("label", other, config);
                assert_eq!(found.is_ok(), other == scope, "{other:?}");
            }
        }
    }
}
