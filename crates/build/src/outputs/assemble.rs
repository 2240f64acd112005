//! Configuration, history and manifest of the finished image.

use yadokari_image::media_type::Family;
use yadokari_image::{
    Descriptor, DiffId, History, ImageConfig, Manifest, Platform, RootFs, json, media_type,
};

use crate::request::{MediaTypes, Times};
use crate::time::rfc3339;

/// One layer as the image lists it.
#[derive(Debug, Clone)]
pub(crate) struct ImageLayer {
    /// The blob, with the media type it has where it came from.
    pub(crate) descriptor: Descriptor,
    /// Digest of the uncompressed archive.
    pub(crate) diff_id: DiffId,
    /// When the layer was made, RFC 3339.
    pub(crate) created: Option<String>,
    /// What the history says of it if no row does.
    pub(crate) description: String,
}

/// The comment of rows that instructions leave.
pub(crate) const INSTRUCTION: &str = "buildkit.dockerfile.v0";

/// The comment of rows that stand for layers no instruction accounts for.
const EXPORTER: &str = "buildkit.exporter.image.v0";

/// What goes into an image besides its layers.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// The configuration the plan ended with.
    pub(crate) config: &'a ImageConfig,
    /// Rows of the history, the base's first; those that make no layer have no time yet.
    pub(crate) rows: Vec<History>,
    /// How many of the rows are the base's.
    pub(crate) base_rows: usize,
    /// The layers, lowest first.
    pub(crate) layers: Vec<ImageLayer>,
}

/// A manifest and a configuration, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Assembled {
    pub(crate) manifest: Vec<u8>,
    pub(crate) descriptor: Descriptor,
    pub(crate) config: Vec<u8>,
    pub(crate) platform: Platform,
}

/// How the image is encoded.
#[derive(Debug)]
pub(crate) struct Encoding<'a> {
    pub(crate) media_types: MediaTypes,
    /// The family of the base's manifest, for those who inherit it.
    pub(crate) base_family: Option<Family>,
    pub(crate) annotations: &'a std::collections::BTreeMap<String, String>,
    pub(crate) times: &'a Times,
    /// Seconds since 1970 that rows of this build carry.
    pub(crate) epoch: Option<i64>,
}

/// Encodes configuration and manifest.
pub(crate) fn assemble(parts: Parts<'_>, encoding: &Encoding<'_>) -> Assembled {
    let family = encoding.family();
    let config = finished_config(&parts, encoding);
    let config_bytes = json::compact(&config);
    let layers = parts
        .layers
        .iter()
        .map(|layer| listed(layer, family))
        .collect();
    let mut manifest = Manifest::new(
        family,
        Descriptor::of(family.config(), &config_bytes),
        layers,
    );
    if !encoding.annotations.is_empty() {
        manifest.annotations = Some(encoding.annotations.clone());
    }
    let bytes = json::indented(&manifest);
    let platform = platform_of(&config);
    let short = Platform {
        os_version: None,
        os_features: Vec::new(),
        ..platform.clone()
    };
    let descriptor = Descriptor {
        platform: Some(short),
        ..Descriptor::of(family.manifest(), &bytes)
    };
    Assembled {
        manifest: bytes,
        descriptor,
        config: config_bytes,
        platform,
    }
}

impl Encoding<'_> {
    fn family(&self) -> Family {
        match self.media_types {
            MediaTypes::Oci => Family::Oci,
            MediaTypes::Docker => Family::Docker,
            MediaTypes::Inherit => self.base_family.unwrap_or(Family::Oci),
        }
    }
}

fn platform_of(config: &ImageConfig) -> Platform {
    Platform {
        variant: config.variant.clone(),
        os_version: config.os_version.clone(),
        os_features: config.os_features.clone(),
        ..Platform::new(&config.os, &config.architecture)
    }
}

/// A layer as the manifest lists it: in the manifest's family, without annotations of others.
fn listed(layer: &ImageLayer, family: Family) -> Descriptor {
    let descriptor = &layer.descriptor;
    let annotations = descriptor.annotations.clone().map(|mut all| {
        all.retain(|name, _| name.starts_with("buildkit/rewritten-timestamp"));
        all
    });
    Descriptor {
        annotations: annotations.filter(|all| !all.is_empty()),
        urls: descriptor.urls.clone(),
        ..Descriptor::new(
            media_type::in_family(&descriptor.media_type, family),
            descriptor.digest,
            descriptor.size,
        )
    }
}

fn finished_config(parts: &Parts<'_>, encoding: &Encoding<'_>) -> ImageConfig {
    let mut history = complete(&parts.rows, &parts.layers);
    fill_times(&mut history);
    pin_times(&mut history, parts.base_rows, encoding);
    let created = history.iter().rev().find_map(|row| row.created.clone());
    let diff_ids: Vec<DiffId> = parts.layers.iter().map(|layer| layer.diff_id).collect();
    ImageConfig {
        created,
        history: (!history.is_empty()).then_some(history),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: (!diff_ids.is_empty()).then_some(diff_ids),
        },
        ..parts.config.clone()
    }
}

/// Makes rows and layers agree in number, and gives the rows of layers their times.
///
/// Layers that no row accounts for get rows at the end; rows that claim a layer which does not exist become empty.
fn complete(rows: &[History], layers: &[ImageLayer]) -> Vec<History> {
    let mut rows = rows.to_vec();
    let mut accounted = 0;
    for row in rows.iter_mut().filter(|row| !row.empty_layer) {
        match layers.get(accounted) {
            Some(layer) => {
                row.created = row.created.take().or_else(|| layer.created.clone());
                accounted += 1;
            }
            None => row.empty_layer = true,
        }
    }
    rows.extend(layers[accounted..].iter().map(|layer| History {
        created: layer.created.clone(),
        created_by: layer.description.clone(),
        comment: EXPORTER.to_owned(),
        ..History::default()
    }));
    rows
}

/// A row without a time takes the one before it; rows before the first new layer take that layer's.
fn fill_times(rows: &mut [History]) {
    let first_gap = rows
        .iter()
        .position(|row| row.created.is_none())
        .unwrap_or(rows.len());
    let after_gap = rows[first_gap..].iter().find_map(|row| row.created.clone());
    let before_gap = rows[..first_gap]
        .iter()
        .rev()
        .find_map(|row| row.created.clone());
    let mut current = after_gap.or(before_gap);
    for row in &mut rows[first_gap..] {
        match &row.created {
            Some(time) => current = Some(time.clone()),
            None => row.created.clone_from(&current),
        }
    }
}

/// Rows of this build carry the epoch, where there is one; a reproducible image has no times at all.
fn pin_times(rows: &mut [History], base_rows: usize, encoding: &Encoding<'_>) {
    if let Some(epoch) = encoding.times.epoch.or(encoding.epoch) {
        let time = rfc3339(epoch, 0);
        for row in rows.iter_mut().skip(base_rows) {
            row.created = Some(time.clone());
        }
    } else if encoding.times.reproducible {
        let time = rfc3339(0, 0);
        for row in rows {
            row.created = Some(time.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(created: Option<&str>, empty_layer: bool) -> History {
        History {
            created: created.map(str::to_owned),
            empty_layer,
            ..History::default()
        }
    }

    fn times(rows: &[History]) -> Vec<&str> {
        rows.iter()
            .map(|row| row.created.as_deref().unwrap_or("-"))
            .collect()
    }

    #[test]
    fn metadata_before_all_new_layers_takes_the_first_new_time() {
        let mut rows = [
            row(Some("base"), false),
            row(None, true),
            row(Some("one"), false),
            row(None, true),
        ];
        fill_times(&mut rows);
        assert_eq!(times(&rows), ["base", "one", "one", "one"]);
    }

    #[test]
    fn metadata_without_new_layers_takes_the_bases_last_time() {
        let mut rows = [row(Some("a"), false), row(Some("b"), true), row(None, true)];
        fill_times(&mut rows);
        assert_eq!(times(&rows), ["a", "b", "b"]);
    }

    #[test]
    fn metadata_after_a_layer_takes_that_layers_time() {
        let mut rows = [
            row(Some("base"), false),
            row(Some("one"), false),
            row(None, true),
            row(Some("two"), false),
            row(None, true),
        ];
        fill_times(&mut rows);
        assert_eq!(times(&rows), ["base", "one", "two", "two", "two"]);
    }

    #[test]
    fn rows_without_layers_become_empty_and_layers_without_rows_get_some() {
        let layer = |description: &str| ImageLayer {
            descriptor: Descriptor::of(media_type::OCI_LAYER_GZIP, description.as_bytes()),
            diff_id: DiffId::from_digest(yadokari_image::Digest::of(description.as_bytes())),
            created: None,
            description: description.to_owned(),
        };
        let rows = complete(&[row(None, false), row(None, false)], &[layer("one")]);
        assert_eq!(
            rows.iter().map(|row| row.empty_layer).collect::<Vec<_>>(),
            [false, true]
        );
        let rows = complete(&[row(None, false)], &[layer("one"), layer("two")]);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (rows[1].created_by.as_str(), rows[1].comment.as_str()),
            ("two", EXPORTER)
        );
    }

    fn layer(media_type: &str, created: &str) -> ImageLayer {
        ImageLayer {
            descriptor: Descriptor {
                annotations: Some([("other".to_owned(), "x".to_owned())].into()),
                ..Descriptor::of(media_type, created.as_bytes())
            },
            diff_id: DiffId::from_digest(yadokari_image::Digest::of(created.as_bytes())),
            created: Some(created.to_owned()),
            description: String::new(),
        }
    }

    /// An image of one layer of a base and one of this build, and a row without a layer after it.
    fn assembled(
        media_types: MediaTypes,
        base_family: Option<Family>,
        times: &Times,
        epoch: Option<i64>,
    ) -> (ImageConfig, Manifest) {
        let config = ImageConfig::new(&Platform::parse("linux/arm/v7").unwrap());
        let layers = vec![
            layer(media_type::DOCKER_LAYER, "2001-01-01T00:00:00Z"),
            layer(media_type::OCI_LAYER_GZIP, "2020-01-01T00:00:00Z"),
        ];
        let rows = vec![
            row(Some("2001-01-01T00:00:00Z"), false),
            row(None, false),
            row(None, true),
        ];
        let annotations = std::collections::BTreeMap::new();
        let encoding = Encoding {
            media_types,
            base_family,
            annotations: &annotations,
            times,
            epoch,
        };
        let parts = Parts {
            config: &config,
            rows,
            base_rows: 1,
            layers: layers.clone(),
        };
        let made = assemble(parts, &encoding);
        assert_eq!(made.platform.to_string(), "linux/arm/v7");
        assert_eq!(
            made.descriptor.digest,
            yadokari_image::Digest::of(&made.manifest)
        );
        let diff_ids = layers.iter().map(|layer| layer.diff_id);
        let manifest = Manifest::parse(&made.manifest).unwrap();
        let listed = manifest.layers().iter().cloned().zip(diff_ids);
        yadokari_image::validate(&made.manifest, &made.config, listed).unwrap();
        (ImageConfig::parse(&made.config).unwrap(), manifest)
    }

    #[test]
    fn layers_are_listed_in_the_family_of_the_manifest_without_annotations_of_others() {
        for (asked, base, family) in [
            (MediaTypes::Oci, Some(Family::Docker), Family::Oci),
            (MediaTypes::Docker, Some(Family::Oci), Family::Docker),
            (MediaTypes::Inherit, Some(Family::Docker), Family::Docker),
            (MediaTypes::Inherit, None, Family::Oci),
        ] {
            let (_, manifest) = assembled(asked, base, &Times::default(), None);
            assert_eq!(manifest.config.media_type, family.config());
            for layer in manifest.layers() {
                assert_eq!(
                    layer.media_type,
                    media_type::in_family(&layer.media_type, family)
                );
                assert_eq!(layer.annotations, None);
            }
        }
    }

    #[test]
    fn an_image_is_as_old_as_its_last_row() {
        let (config, _) = assembled(MediaTypes::Oci, None, &Times::default(), None);
        assert_eq!(config.created.as_deref(), Some("2020-01-01T00:00:00Z"));
        assert_eq!(
            times(&config.history.unwrap()),
            [
                "2001-01-01T00:00:00Z",
                "2020-01-01T00:00:00Z",
                "2020-01-01T00:00:00Z"
            ]
        );
    }

    #[test]
    fn an_epoch_is_for_the_rows_of_this_build_and_a_reproducible_image_has_no_times() {
        let (config, _) = assembled(MediaTypes::Oci, None, &Times::default(), Some(1));
        assert_eq!(config.created.as_deref(), Some("1970-01-01T00:00:01Z"));
        assert_eq!(
            times(&config.history.unwrap()),
            [
                "2001-01-01T00:00:00Z",
                "1970-01-01T00:00:01Z",
                "1970-01-01T00:00:01Z"
            ]
        );
        let reproducible = Times {
            reproducible: true,
            ..Times::default()
        };
        let (config, _) = assembled(MediaTypes::Oci, None, &reproducible, None);
        assert_eq!(times(&config.history.unwrap()), ["1970-01-01T00:00:00Z"; 3]);
    }
}
