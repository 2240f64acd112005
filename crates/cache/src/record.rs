//! One cached layer, as the image that carries it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, DiffId, History, ImageConfig, Manifest, Platform, RootFs, json};
use yadokari_plan::Key;

use crate::CacheError;

/// What is kept of a step: its layer, and what people want to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The layer's blob.
    pub layer: Descriptor,
    /// Digest of the uncompressed archive.
    pub diff_id: DiffId,
    /// When the layer was made, RFC 3339.
    pub created: String,
    /// The instruction that made it, as the Dockerfile has it.
    pub instruction: String,
    /// The platform it was made for.
    pub platform: Platform,
}

/// The version of the format; a record of another version is a miss.
const FORMAT: &str = "1";

const VERSION: &str = "dev.yadokari.cache.version";
const KEY: &str = "dev.yadokari.cache.key";
const DIFF_ID: &str = "dev.yadokari.cache.diff-id";
const INSTRUCTION: &str = "dev.yadokari.cache.instruction";
const PLATFORM: &str = "dev.yadokari.cache.platform";
const CREATED: &str = "org.opencontainers.image.created";

/// A record as the documents that a registry keeps.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) config_descriptor: Descriptor,
    pub(crate) media_type: &'static str,
}

impl Record {
    /// Whether the record was made less than `lifetime` before `now`.
    pub(crate) fn is_younger(&self, lifetime: Duration, now: SystemTime) -> bool {
        let Ok(created) = humantime::parse_rfc3339(&self.created) else {
            return false;
        };
        // A clock that runs behind the one of the machine that made the record is no reason to miss.
        now.duration_since(created)
            .map_or(true, |age| age < lifetime)
    }

    /// Encodes the record as an image.
    pub(crate) fn documents(&self, key: Key) -> Documents {
        let config = ImageConfig {
            os: self.platform.os.clone(),
            architecture: self.platform.architecture.clone(),
            variant: self.platform.variant.clone(),
            created: Some(self.created.clone()),
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: Some(vec![self.diff_id]),
            },
            history: Some(vec![History {
                created: Some(self.created.clone()),
                created_by: self.instruction.clone(),
                ..History::default()
            }]),
            ..ImageConfig::default()
        };
        let config = json::compact(&config);
        let config_descriptor = Descriptor::of(Family::Oci.config(), &config);
        let mut manifest = Manifest::new(
            Family::Oci,
            config_descriptor.clone(),
            vec![self.layer.clone()],
        );
        manifest.annotations = Some(self.annotations(key));
        Documents {
            manifest: json::indented(&manifest),
            config,
            config_descriptor,
            media_type: Family::Oci.manifest(),
        }
    }

    fn annotations(&self, key: Key) -> BTreeMap<String, String> {
        BTreeMap::from([
            (VERSION.to_owned(), FORMAT.to_owned()),
            (KEY.to_owned(), key.to_string()),
            (DIFF_ID.to_owned(), self.diff_id.to_string()),
            (INSTRUCTION.to_owned(), self.instruction.clone()),
            (PLATFORM.to_owned(), self.platform.to_string()),
            (CREATED.to_owned(), self.created.clone()),
        ])
    }

    /// Reads a record from its manifest.
    ///
    /// The key is checked too: a tag that somebody moved must not hand out another step's layer.
    pub(crate) fn read(key: Key, manifest: &[u8]) -> Result<Option<Self>, CacheError> {
        let manifest =
            Manifest::parse(manifest).map_err(|source| CacheError::Document { key, source })?;
        let annotations = manifest.annotations.clone().unwrap_or_default();
        let wrong = |reason| CacheError::NoRecord { key, reason };
        if annotations.get(VERSION).map(String::as_str) != Some(FORMAT) {
            return Ok(None);
        }
        if annotations.get(KEY) != Some(&key.to_string()) {
            return Err(wrong("it belongs to another key"));
        }
        let platform = annotations
            .get(PLATFORM)
            .and_then(|text| Platform::parse(text).ok());
        let diff_id = annotations.get(DIFF_ID).and_then(|text| text.parse().ok());
        let [layer] = manifest.layers() else {
            return Err(wrong("it has not exactly one layer"));
        };
        Ok(Some(Self {
            layer: layer.clone(),
            diff_id: diff_id.ok_or_else(|| wrong("it names no diff id"))?,
            created: annotations
                .get(CREATED)
                .cloned()
                .ok_or_else(|| wrong("it has no time"))?,
            instruction: annotations.get(INSTRUCTION).cloned().unwrap_or_default(),
            platform: platform.ok_or_else(|| wrong("it names no platform"))?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use yadokari_image::{Digest, media_type};

    use super::*;

    fn record() -> Record {
        Record {
            layer: Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer"),
            diff_id: DiffId::from_digest(Digest::of(b"tar")),
            created: "2020-01-02T03:04:05Z".to_owned(),
            instruction: "RUN make".to_owned(),
            platform: Platform::new("linux", "amd64"),
        }
    }

    fn key(digit: char) -> Key {
        Key::from_hex(&digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_record_survives_its_encoding() {
        let documents = record().documents(key('a'));
        let read = Record::read(key('a'), &documents.manifest).unwrap();
        assert_eq!(read, Some(record()));
    }

    #[test]
    fn a_record_under_another_key_is_refused() {
        let documents = record().documents(key('a'));
        let error = Record::read(key('b'), &documents.manifest).unwrap_err();
        assert!(matches!(
            error,
            CacheError::NoRecord {
                reason: "it belongs to another key",
                ..
            }
        ));
    }

    #[test]
    fn records_grow_old() {
        let made = humantime::parse_rfc3339("2020-01-02T03:04:05Z").unwrap();
        let day = Duration::from_secs(86_400);
        assert!(record().is_younger(day, made + day / 2));
        assert!(!record().is_younger(day, made + day));
        assert!(record().is_younger(day, made - day));
    }
}
