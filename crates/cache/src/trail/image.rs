//! Trails as an ordinary image: a label holds them, so that any registry takes it.

use std::collections::BTreeMap;

use yadokari_image::media_type::{self, Family};
use yadokari_image::{
    ContainerConfig, Descriptor, DiffId, Digest, ImageConfig, Manifest, Platform, RootFs, json,
};

use super::Trails;
use crate::CacheError;
use crate::record::Documents;

/// The documents of trails, and the layer that is in them for form's sake.
pub(crate) struct TrailImage {
    pub(crate) documents: Documents,
    pub(crate) layer: Vec<u8>,
    pub(crate) layer_descriptor: Descriptor,
}

/// When the latest trail was left.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";

const LABEL: &str = "dev.yadokari.cache.trails";

/// The largest configuration that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

pub(crate) fn image(trails: &Trails) -> TrailImage {
    let made = trails.builds.first().map(|trail| trail.made.clone());
    let made = made.unwrap_or_default();
    // An archive without entries: some registries want a layer in every image.
    let layer = vec![0; 1024];
    let layer_descriptor = Descriptor::of(media_type::OCI_LAYER, &layer);
    let text = String::from_utf8(json::compact(trails)).expect("JSON is text");
    let platform = Platform::new("linux", "amd64");
    let config = ImageConfig {
        created: Some(made.clone()),
        config: ContainerConfig {
            labels: BTreeMap::from([(LABEL.to_owned(), text)]),
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
    TrailImage {
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

pub(crate) fn read(config: &[u8]) -> Result<Trails, CacheError> {
    let wrong = |reason: String| CacheError::NoTrail { reason };
    let config = ImageConfig::parse(config).map_err(|error| wrong(error.to_string()))?;
    let text = config
        .config
        .labels
        .get(LABEL)
        .ok_or_else(|| wrong(format!("it has no label {LABEL}")))?;
    serde_json::from_str(text).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::{Fact, Origin, Trail, TrailStage, TrailStep};
    use super::*;

    #[test]
    fn trails_survive_their_image() {
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
        assert_eq!(read(&image(&trails).documents.config).unwrap(), trails);
        assert!(read(b"{}").is_err());
    }
}
