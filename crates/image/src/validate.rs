//! The rules every image keeps, checked in one place.

use crate::media_type;
use crate::{Descriptor, DiffId, Digest, DocumentError, ImageConfig, Manifest};

/// A rule that an image breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The manifest or the config cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The config bytes are not those that the manifest names.
    #[error(
        "manifest names config {expected} of {expected_size} bytes, found {found} of {found_size}"
    )]
    ConfigBlob {
        /// Digest in the manifest.
        expected: Digest,
        /// Size in the manifest, in bytes.
        expected_size: u64,
        /// Digest of the bytes given.
        found: Digest,
        /// Number of bytes given.
        found_size: u64,
    },
    /// A media type does not belong where it stands.
    #[error("{place} has the media type `{media_type}`")]
    MediaType {
        /// `config`, or the layer by its number from 1.
        place: String,
        /// The media type found.
        media_type: String,
    },
    /// Types of both families stand in one manifest.
    #[error("{place} has the media type `{media_type}` in a manifest of the other family")]
    MixedFamilies {
        /// `config`, or the layer by its number from 1.
        place: String,
        /// The media type found.
        media_type: String,
    },
    /// Manifest, config and the layers given do not have the same number of layers.
    #[error("{manifest} layers in the manifest, {config} in the config, {given} found")]
    LayerCount {
        /// Layers in the manifest.
        manifest: usize,
        /// Diff ids in the config.
        config: usize,
        /// Layers handed to the check.
        given: usize,
    },
    /// A layer blob is not the one that the manifest names.
    #[error(
        "layer {layer}: manifest names {expected} of {expected_size} bytes, found {found} of {found_size}"
    )]
    LayerBlob {
        /// Number of the layer, from 1.
        layer: usize,
        /// Digest in the manifest.
        expected: Digest,
        /// Size in the manifest, in bytes.
        expected_size: u64,
        /// Digest of the blob.
        found: Digest,
        /// Size of the blob, in bytes.
        found_size: u64,
    },
    /// A layer unpacks to something else than the config says.
    #[error("layer {layer}: config names the diff id {expected}, found {found}")]
    DiffId {
        /// Number of the layer, from 1.
        layer: usize,
        /// Diff id in the config.
        expected: DiffId,
        /// Diff id of the blob.
        found: DiffId,
    },
    /// The history does not account for the layers.
    #[error("{rows} history rows have a layer, the image has {layers}")]
    HistoryCount {
        /// Rows that are not marked as empty.
        rows: usize,
        /// Layers of the image.
        layers: usize,
    },
    /// A field has a value that it may not have.
    #[error("config field `{field}` is `{value}`")]
    Field {
        /// The field's name in JSON.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Checks every rule that holds manifest, config and layers together.
///
/// `layers` are the blobs in the manifest's order: each one's descriptor as found
/// (digest and size of the bytes that are there) and the digest of its unpacked
/// tar archive. Bytes that were not read by the caller are not checked here.
///
/// # Errors
///
/// [`Invalid`] names the first rule that is broken.
pub fn validate(
    manifest: &[u8],
    config: &[u8],
    layers: impl IntoIterator<Item = (Descriptor, DiffId)>,
) -> Result<(), Invalid> {
    let manifest = Manifest::parse(manifest)?;
    check_config_blob(&manifest.config, config)?;
    check_media_types(&manifest)?;
    let config = ImageConfig::parse(config)?;
    check_layers(&manifest, &config, layers.into_iter().collect())?;
    check_history(&config)?;
    check_fields(&config)
}

fn check_config_blob(expected: &Descriptor, config: &[u8]) -> Result<(), Invalid> {
    let found = Descriptor::of("", config);
    if found.same_blob(expected) {
        return Ok(());
    }
    Err(Invalid::ConfigBlob {
        expected: expected.digest,
        expected_size: expected.size,
        found: found.digest,
        found_size: found.size,
    })
}

fn check_media_types(manifest: &Manifest) -> Result<(), Invalid> {
    let family = manifest.family();
    let layers = manifest.layers().iter().enumerate();
    let parts = std::iter::once(("config".to_owned(), &manifest.config))
        .chain(layers.map(|(at, layer)| (format!("layer {}", at + 1), layer)));
    for (place, descriptor) in parts {
        let media_type = descriptor.media_type.clone();
        let fits = if place == "config" {
            media_type::is_config(&media_type)
        } else {
            media_type::is_layer(&media_type)
        };
        if !fits {
            return Err(Invalid::MediaType { place, media_type });
        }
        if media_type::family(&media_type) != Some(family) {
            return Err(Invalid::MixedFamilies { place, media_type });
        }
    }
    Ok(())
}

fn check_layers(
    manifest: &Manifest,
    config: &ImageConfig,
    given: Vec<(Descriptor, DiffId)>,
) -> Result<(), Invalid> {
    let (named, diff_ids) = (manifest.layers(), config.diff_ids());
    if named.len() != diff_ids.len() || named.len() != given.len() {
        return Err(Invalid::LayerCount {
            manifest: named.len(),
            config: diff_ids.len(),
            given: given.len(),
        });
    }
    for (at, (blob, found)) in given.iter().enumerate() {
        let layer = at + 1;
        if !blob.same_blob(&named[at]) {
            return Err(Invalid::LayerBlob {
                layer,
                expected: named[at].digest,
                expected_size: named[at].size,
                found: blob.digest,
                found_size: blob.size,
            });
        }
        if *found != diff_ids[at] {
            return Err(Invalid::DiffId {
                layer,
                expected: diff_ids[at],
                found: *found,
            });
        }
    }
    Ok(())
}

fn check_history(config: &ImageConfig) -> Result<(), Invalid> {
    let history = config.history();
    let rows = history.iter().filter(|row| !row.empty_layer).count();
    let layers = config.diff_ids().len();
    if rows != layers && !history.is_empty() {
        return Err(Invalid::HistoryCount { rows, layers });
    }
    Ok(())
}

fn check_fields(config: &ImageConfig) -> Result<(), Invalid> {
    let filled = |field, value: &str| match value {
        "" => Err(Invalid::Field {
            field,
            value: String::new(),
        }),
        _ => Ok(()),
    };
    filled("os", &config.os)?;
    filled("architecture", &config.architecture)?;
    check_each("rootfs.type", [config.rootfs.kind.as_str()], |kind| {
        kind == "layers"
    })?;
    let rows = config
        .history()
        .iter()
        .filter_map(|row| row.created.as_deref());
    check_each(
        "created",
        config.created.as_deref().into_iter().chain(rows),
        is_time,
    )?;
    let container = &config.config;
    check_each(
        "Env",
        container.env.iter().map(String::as_str),
        is_assignment,
    )?;
    check_each(
        "ExposedPorts",
        container.exposed_ports.keys().map(String::as_str),
        is_port,
    )?;
    check_each(
        "Volumes",
        container.volumes.keys().map(String::as_str),
        |path| !path.is_empty(),
    )
}

fn check_each<'a>(
    field: &'static str,
    values: impl IntoIterator<Item = &'a str>,
    rule: fn(&str) -> bool,
) -> Result<(), Invalid> {
    match values.into_iter().find(|value| !rule(value)) {
        Some(value) => Err(Invalid::Field {
            field,
            value: value.to_owned(),
        }),
        None => Ok(()),
    }
}

fn is_assignment(entry: &str) -> bool {
    entry
        .split_once('=')
        .is_some_and(|(name, _)| !name.is_empty())
}

/// `number[-number][/protocol]`
fn is_port(port: &str) -> bool {
    let (range, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    matches!(protocol, "tcp" | "udp" | "sctp")
        && range.split('-').all(|end| end.parse::<u16>().is_ok())
}

/// The shape of an RFC 3339 time: `2020-01-02T03:04:05[.fraction](Z|±hh:mm)`.
fn is_time(time: &str) -> bool {
    let Some((date, zone)) = time.split_at_checked(19) else {
        return false;
    };
    let shape = date
        .bytes()
        .zip(b"0000-00-00T00:00:00")
        .all(|(found, shape)| match shape {
            b'0' => found.is_ascii_digit(),
            mark => found == *mark,
        });
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => zone,
    };
    shape && (zone == "Z" || (zone.len() == 6 && zone.starts_with(['+', '-'])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::Family;
    use crate::{History, Platform, json};

    struct Image {
        manifest: Manifest,
        config: ImageConfig,
        layers: Vec<(Descriptor, DiffId)>,
    }

    fn image() -> Image {
        let mut config = ImageConfig::new(&Platform::new("linux", "amd64"));
        let layer = Descriptor::of(media_type::OCI_LAYER_GZIP, b"gzip");
        let diff_id = DiffId::from_digest(Digest::of(b"tar"));
        config.rootfs.diff_ids = Some(vec![diff_id]);
        config.created = Some("2020-01-02T03:04:05.6789Z".to_owned());
        let empty = History {
            empty_layer: true,
            ..History::default()
        };
        config.history = Some(vec![empty, History::default()]);
        config.config.env = vec!["PATH=/bin".to_owned()];
        let named = Descriptor::of(media_type::OCI_CONFIG, &config.to_bytes());
        Image {
            manifest: Manifest::new(Family::Oci, named, vec![layer.clone()]),
            config,
            layers: vec![(layer, diff_id)],
        }
    }

    fn outcome(change: impl FnOnce(&mut Image)) -> Result<(), Invalid> {
        let mut image = image();
        change(&mut image);
        validate(
            &json::indented(&image.manifest),
            &image.config.to_bytes(),
            image.layers,
        )
    }

    /// Changes the config and keeps the manifest's descriptor in step.
    fn with_config(change: impl FnOnce(&mut ImageConfig)) -> Result<(), Invalid> {
        outcome(|image| {
            change(&mut image.config);
            image.manifest.config =
                Descriptor::of(media_type::OCI_CONFIG, &image.config.to_bytes());
        })
    }

    #[test]
    fn a_sound_image_passes() {
        outcome(|_| ()).unwrap();
    }

    #[test]
    fn broken_links_between_the_parts_are_found() {
        let other = Digest::of(b"other");
        assert!(matches!(
            outcome(|i| i.config.os = "x".to_owned()),
            Err(Invalid::ConfigBlob { .. })
        ));
        assert!(matches!(
            outcome(|i| i.layers[0].0.size += 1),
            Err(Invalid::LayerBlob { layer: 1, .. })
        ));
        assert!(matches!(
            outcome(|i| i.layers[0].1 = DiffId::from_digest(other)),
            Err(Invalid::DiffId { .. })
        ));
        assert!(matches!(
            outcome(|i| i.layers.clear()),
            Err(Invalid::LayerCount { given: 0, .. })
        ));
        assert!(matches!(
            with_config(|c| c.rootfs.diff_ids = None),
            Err(Invalid::LayerCount { config: 0, .. })
        ));
        assert!(matches!(
            with_config(|c| c.history = Some(vec![History::default(); 2])),
            Err(Invalid::HistoryCount { rows: 2, layers: 1 })
        ));
    }

    #[test]
    fn media_types_must_fit_their_place() {
        let docker = media_type::DOCKER_LAYER_GZIP.to_owned();
        assert!(matches!(
            outcome(|i| if let Some(layers) = &mut i.manifest.layers {
                layers[0].media_type = docker;
            }),
            Err(Invalid::MixedFamilies { .. })
        ));
        let layer = media_type::OCI_LAYER.to_owned();
        assert!(matches!(
            outcome(|i| i.manifest.config.media_type = layer),
            Err(Invalid::MediaType { .. })
        ));
    }

    #[test]
    fn field_values_are_checked() {
        type Change = fn(&mut ImageConfig);
        let cases: [(&str, Change); 6] = [
            ("os", |c| c.os.clear()),
            ("architecture", |c| c.architecture.clear()),
            ("rootfs.type", |c| c.rootfs.kind = "x".to_owned()),
            ("created", |c| c.created = Some("yesterday".to_owned())),
            ("Env", |c| c.config.env.push("NOVALUE".to_owned())),
            ("ExposedPorts", |c| {
                c.config.exposed_ports = [("99999/tcp".to_owned(), crate::Empty {})].into();
            }),
        ];
        for (expected, change) in cases {
            match with_config(change) {
                Err(Invalid::Field { field, .. }) => assert_eq!(field, expected),
                found => panic!("{expected}: {found:?}"),
            }
        }
    }
}
