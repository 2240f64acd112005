//! One cached layer, as the image that carries it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use yadokari_image::media_type::Family;
use yadokari_image::{
    ContainerConfig, Descriptor, DiffId, Digest, History, ImageConfig, Manifest, Platform, RootFs,
    json,
};
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
    /// What the layer was made on, where the key does not say it all: a digest over the layers below it that commands
    /// made. Two jobs that run one command may get two results, and a layer made on one does not fit the other.
    /// `None` for a layer that fits everywhere.
    pub parent: Option<Digest>,
    /// The key of the same result by the content of what it was made from, where that is another one: what follows
    /// is found under keys that build on it.
    pub restated: Option<Key>,
}

/// The version of the format; a record of another version is a miss.
const FORMAT: &str = "3";

const VERSION: &str = "dev.yadokari.cache.version";
const KEY: &str = "dev.yadokari.cache.key";
const DIFF_ID: &str = "dev.yadokari.cache.diff-id";
const INSTRUCTION: &str = "dev.yadokari.cache.instruction";
const PLATFORM: &str = "dev.yadokari.cache.platform";
const PARENT: &str = "dev.yadokari.cache.parent";
const RESTATED: &str = "dev.yadokari.cache.restated";
const SCOPE: &str = "dev.yadokari.cache.scope";
/// The layer's descriptor, in the configuration alone.
const LAYER: &str = "dev.yadokari.cache.layer";
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
    pub(crate) fn documents(&self, scope: Option<&str>, key: Key) -> Documents {
        let annotations = self.annotations(scope, key);
        let config = self.config(&annotations);
        let config_descriptor = Descriptor::of(Family::Oci.config(), &config);
        let mut manifest = Manifest::new(
            Family::Oci,
            config_descriptor.clone(),
            vec![self.layer.clone()],
        );
        manifest.annotations = Some(annotations);
        Documents {
            manifest: json::indented(&manifest),
            config,
            config_descriptor,
            media_type: Family::Oci.manifest(),
        }
    }

    /// The configuration of the image. It repeats all that the manifest says, so that the digest by which the manifest
    /// names it is wrong as soon as anything there is another thing than what was written.
    fn config(&self, annotations: &BTreeMap<String, String>) -> Vec<u8> {
        let layer = String::from_utf8(json::compact(&self.layer)).expect("JSON is text");
        let mut labels = annotations.clone();
        labels.insert(LAYER.to_owned(), layer);
        json::compact(&ImageConfig {
            os: self.platform.os.clone(),
            architecture: self.platform.architecture.clone(),
            variant: self.platform.variant.clone(),
            created: Some(self.created.clone()),
            config: ContainerConfig {
                labels,
                ..ContainerConfig::default()
            },
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
        })
    }

    fn annotations(&self, scope: Option<&str>, key: Key) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([
            (VERSION.to_owned(), FORMAT.to_owned()),
            (KEY.to_owned(), key.to_string()),
            (DIFF_ID.to_owned(), self.diff_id.to_string()),
            (INSTRUCTION.to_owned(), self.instruction.clone()),
            (PLATFORM.to_owned(), self.platform.to_string()),
            (CREATED.to_owned(), self.created.clone()),
        ]);
        let optional = [
            (PARENT, self.parent.map(|parent| parent.to_string())),
            (RESTATED, self.restated.map(|key| key.to_string())),
            (SCOPE, scope.map(str::to_owned)),
        ];
        annotations.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        annotations
    }

    /// Reads a record from its manifest; `None` if it is of another version.
    ///
    /// Key and scope are checked too: a tag that somebody moved must not hand out another step's layer. So is whether the
    /// manifest was changed since: a layer with a wrong diff id or size would only be noticed by who runs the image.
    pub(crate) fn read(
        scope: Option<&str>,
        key: Key,
        manifest: &[u8],
    ) -> Result<Option<Self>, CacheError> {
        let manifest =
            Manifest::parse(manifest).map_err(|source| CacheError::Document { key, source })?;
        let wrong = |reason| CacheError::NoRecord { key, reason };
        let annotations = manifest.annotations.clone().unwrap_or_default();
        if annotations.get(VERSION).map(String::as_str) != Some(FORMAT) {
            return Ok(None);
        }
        if annotations.get(KEY) != Some(&key.to_string()) {
            return Err(wrong("it belongs to another key"));
        }
        if annotations.get(SCOPE).map(String::as_str) != scope {
            return Err(wrong("it belongs to another scope"));
        }
        let [layer] = manifest.layers() else {
            return Err(wrong("it has not exactly one layer"));
        };
        let record = Self::of(layer, &annotations).map_err(wrong)?;
        // What others added beside it does no harm.
        let written = record.config(&record.annotations(scope, key));
        if Digest::of(&written) != manifest.config.digest {
            return Err(wrong("it was changed after it was written"));
        }
        Ok(Some(record))
    }

    /// Reads what the annotations say of the layer, or what is wrong with them.
    fn of(
        layer: &Descriptor,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, &'static str> {
        let text = |name| annotations.get(name).map(String::as_str);
        let platform = text(PLATFORM).and_then(|text| Platform::parse(text).ok());
        let diff_id = text(DIFF_ID).and_then(|text| text.parse().ok());
        let parent = text(PARENT).map(str::parse).transpose();
        Ok(Self {
            layer: layer.clone(),
            diff_id: diff_id.ok_or("it names no diff id")?,
            created: text(CREATED).ok_or("it has no time")?.to_owned(),
            instruction: text(INSTRUCTION).unwrap_or_default().to_owned(),
            platform: platform.ok_or("it names no platform")?,
            parent: parent.map_err(|_| "its parent is no digest")?,
            restated: text(RESTATED).and_then(Key::from_hex),
        })
    }
}

/// What a manifest claims to be the record of, for lists: the key, the scope, and the record.
pub(crate) fn claimed(manifest: &Manifest) -> Option<(Key, Option<String>, Record)> {
    let annotations = manifest.annotations.as_ref()?;
    let key = Key::from_hex(annotations.get(KEY)?)?;
    let record = Record::of(manifest.layers().first()?, annotations).ok()?;
    Some((key, annotations.get(SCOPE).cloned(), record))
}

#[cfg(test)]
mod tests {
    use yadokari_image::media_type;

    use super::*;

    fn record() -> Record {
        Record {
            layer: Descriptor::of(media_type::OCI_LAYER_GZIP, b"layer"),
            diff_id: DiffId::from_digest(Digest::of(b"tar")),
            created: "2020-01-02T03:04:05Z".to_owned(),
            instruction: "RUN make".to_owned(),
            platform: Platform::new("linux", "amd64"),
            parent: Some(Digest::of(b"below")),
            restated: Some(key('c')),
        }
    }

    fn key(digit: char) -> Key {
        Key::from_hex(&digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_record_survives_its_encoding() {
        let loose = Record {
            parent: None,
            restated: None,
            ..record()
        };
        for (record, scope) in [(record(), None), (loose, Some("main"))] {
            let documents = record.documents(scope, key('a'));
            let read = Record::read(scope, key('a'), &documents.manifest).unwrap();
            assert_eq!(read, Some(record));
        }
    }

    #[test]
    fn a_record_of_any_platform_can_be_read() {
        for platform in [
            "linux/amd64",
            "linux/amd64/v3",
            "linux/arm64",
            "linux/arm64/v9",
            "linux/arm/v7",
            "linux/arm/v6",
            "linux/386",
            "linux/riscv64",
            "windows(10.0.17763)/amd64",
        ] {
            let record = Record {
                platform: Platform::parse(platform).unwrap(),
                ..record()
            };
            let documents = record.documents(None, key('a'));
            let read = Record::read(None, key('a'), &documents.manifest).unwrap();
            assert_eq!(read, Some(record), "{platform}");
        }
    }

    #[test]
    fn a_record_that_was_changed_is_refused() {
        let documents = record().documents(None, key('a'));
        let text = String::from_utf8(documents.manifest).unwrap();
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        for (old, new) in [
            (digest("tar"), digest("other")),
            (digest("layer"), digest("other")),
            (digest("below"), digest("other")),
            (key('c').to_string(), key('d').to_string()),
            ("\"size\": 5".to_owned(), "\"size\": 6".to_owned()),
            ("linux/amd64".to_owned(), "linux/arm64".to_owned()),
            ("RUN make".to_owned(), "RUN rm".to_owned()),
            ("2020-01-02".to_owned(), "2030-01-02".to_owned()),
            ("tar+gzip".to_owned(), "tar+zstd".to_owned()),
        ] {
            let changed = text.replace(&old, &new);
            assert_ne!(changed, text, "{old}");
            let error = Record::read(None, key('a'), changed.as_bytes()).unwrap_err();
            assert!(
                error.to_string().contains("it was changed"),
                "{old}: {error}"
            );
        }
    }

    #[test]
    fn a_record_of_another_scope_is_refused() {
        let documents = record().documents(Some("feature"), key('a'));
        for scope in [None, Some("main")] {
            let error = Record::read(scope, key('a'), &documents.manifest).unwrap_err();
            assert!(error.to_string().contains("another scope"), "{error}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_none() {
        let documents = record().documents(None, key('a'));
        let text = String::from_utf8(documents.manifest).unwrap();
        let older = text.replace("cache.version\": \"3\"", "cache.version\": \"2\"");
        assert_ne!(text, older);
        assert_eq!(
            Record::read(None, key('a'), older.as_bytes()).unwrap(),
            None
        );
    }

    #[test]
    fn a_record_under_another_key_is_refused() {
        let documents = record().documents(None, key('a'));
        let error = Record::read(None, key('b'), &documents.manifest).unwrap_err();
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
