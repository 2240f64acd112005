//! A saved cache mount as manifest and configuration.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Manifest, Platform, json};

use crate::mounts::chunks::{CONTENT, Chunk, LISTING, ListedChunk, largest_blob};
use crate::mounts::error::MountError;
use crate::mounts::name::{MountIdentity, MountName};

/// A record of a cache mount: what is saved under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// Digest of the manifest.
    pub digest: Digest,
    /// The mount's name, see [`MountIdentity::name`].
    pub name: String,
    /// The mount's id.
    pub id: String,
    /// The platform it is for.
    pub platform: Platform,
    /// When it was saved, RFC 3339.
    pub created: String,
    /// Names in it, directories included.
    pub entries: u64,
    /// Bytes in its files.
    pub bytes: u64,
    /// Chunks of the listing, in order.
    pub(crate) listing: Vec<Chunk>,
    /// Chunks of the contents, in order.
    pub(crate) content: Vec<Chunk>,
}

/// The configuration as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    version: u32,
    name: String,
    id: String,
    platform: String,
    created: String,
    entries: u64,
    bytes: u64,
    listing: Vec<ListedChunk>,
    content: Vec<ListedChunk>,
}

/// Manifest and configuration of a record.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) config_descriptor: Descriptor,
}

/// The version of the format; a record of another version counts as absent.
const FORMAT: u32 = 1;

const CONFIG_TYPE: &str = "application/vnd.yadokari.cache-mount.config.v1+json";
/// The type of every chunk.
pub(crate) const CHUNK_TYPE: &str = "application/vnd.yadokari.cache-mount.chunk.v1+zstd";

const VERSION: &str = "dev.yadokari.mount.version";
const NAME: &str = "dev.yadokari.mount.name";
const ID: &str = "dev.yadokari.mount.id";
const PLATFORM: &str = "dev.yadokari.mount.platform";
const BYTES: &str = "dev.yadokari.mount.bytes";
const ENTRIES: &str = "dev.yadokari.mount.entries";
const CREATED: &str = "org.opencontainers.image.created";

/// What the tags of saved mounts begin with.
const TAG: &str = "mount-";

/// The largest configuration that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 64 << 20;
/// The largest listing that is read, in bytes.
const LISTING_LIMIT: u64 = 1 << 30;

/// Whether a tag of a cache repository is that of a saved cache mount, in whatever scope.
#[must_use]
pub fn is_mount_tag(tag: &str) -> bool {
    tag.strip_prefix(TAG)
        .is_some_and(|name| name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

impl MountName {
    /// The tag that the mount has in a cache repository without scopes.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("{TAG}{self}")
    }
}

impl Saved {
    /// Reads what a manifest says for itself: enough to list records, not to restore one.
    ///
    /// `None` if the manifest is no record of a cache mount.
    #[must_use]
    pub fn summary(manifest: &[u8]) -> Option<Self> {
        let parsed = Manifest::parse(manifest).ok()?;
        let annotations = parsed.annotations.as_ref()?;
        (annotations.get(VERSION)? == &FORMAT.to_string()).then_some(())?;
        let number = |key| annotations.get(key)?.parse().ok();
        Some(Self {
            digest: Digest::of(manifest),
            name: annotations.get(NAME)?.clone(),
            id: annotations.get(ID)?.clone(),
            platform: Platform::parse(annotations.get(PLATFORM)?).ok()?,
            created: annotations.get(CREATED)?.clone(),
            entries: number(ENTRIES)?,
            bytes: number(BYTES)?,
            listing: Vec::new(),
            content: Vec::new(),
        })
    }

    /// Encodes the record; its own digest is that of the manifest.
    pub(crate) fn documents(&self, identity: &MountIdentity) -> Documents {
        let mut layers = Layers::default();
        let config = Config {
            version: FORMAT,
            name: identity.name().to_string(),
            id: self.id.clone(),
            platform: self.platform.to_string(),
            created: self.created.clone(),
            entries: self.entries,
            bytes: self.bytes,
            listing: self
                .listing
                .iter()
                .map(|chunk| layers.list(chunk))
                .collect(),
            content: self
                .content
                .iter()
                .map(|chunk| layers.list(chunk))
                .collect(),
        };
        let config = json::compact(&config);
        let config_descriptor = Descriptor::of(CONFIG_TYPE, &config);
        let mut manifest = Manifest::new(Family::Oci, config_descriptor.clone(), layers.list);
        manifest.annotations = Some(self.annotations(identity));
        Documents {
            manifest: json::compact(&manifest),
            config,
            config_descriptor,
        }
    }

    fn annotations(&self, identity: &MountIdentity) -> BTreeMap<String, String> {
        BTreeMap::from([
            (VERSION.to_owned(), FORMAT.to_string()),
            (NAME.to_owned(), identity.name().to_string()),
            (ID.to_owned(), self.id.clone()),
            (PLATFORM.to_owned(), self.platform.to_string()),
            (BYTES.to_owned(), self.bytes.to_string()),
            (ENTRIES.to_owned(), self.entries.to_string()),
            (CREATED.to_owned(), self.created.clone()),
        ])
    }

    /// Reads the record of a mount and refuses that of another one.
    pub(crate) fn read(
        name: &MountName,
        manifest: &[u8],
        config: &[u8],
    ) -> Result<Self, MountError> {
        let saved = Self::parse(manifest, config)?;
        if saved.name != name.as_str() {
            return Err(MountError::record("it belongs to another cache mount"));
        }
        Ok(saved)
    }

    /// Reads a record from its two documents and refuses what contradicts itself.
    pub(crate) fn parse(manifest: &[u8], config: &[u8]) -> Result<Self, MountError> {
        let layers = Manifest::parse(manifest)?.layers.unwrap_or_default();
        let config: Config = serde_json::from_slice(config)
            .map_err(|_| MountError::record("its configuration cannot be read"))?;
        if config.version != FORMAT {
            return Err(MountError::record("it is of another version"));
        }
        let listing = resolved(&config.listing, &layers, LISTING.most as u64)?;
        let content = resolved(&config.content, &layers, CONTENT.most as u64)?;
        if total(&listing).is_none_or(|bytes| bytes > LISTING_LIMIT) {
            return Err(MountError::record("its list of files is too long"));
        }
        if total(&content) != Some(config.bytes) {
            return Err(MountError::record("its chunks do not add up to its size"));
        }
        Ok(Self {
            digest: Digest::of(manifest),
            name: config.name,
            id: config.id,
            platform: Platform::parse(&config.platform)
                .map_err(|_| MountError::record("it names no platform"))?,
            created: config.created,
            entries: config.entries,
            bytes: config.bytes,
            listing,
            content,
        })
    }

    /// Bytes of all chunks as they are stored, each once.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.blobs().iter().map(|blob| blob.size).sum()
    }

    /// The blobs that the manifest lists, in its order.
    pub(crate) fn blobs(&self) -> Vec<Descriptor> {
        let mut layers = Layers::default();
        for chunk in self.listing.iter().chain(&self.content) {
            layers.list(chunk);
        }
        layers.list
    }

    /// The blobs of all chunks, by the digest of what is in them.
    pub(crate) fn known(&self) -> HashMap<Digest, Chunk> {
        let chunks = self.listing.iter().chain(&self.content);
        chunks.map(|chunk| (chunk.raw, chunk.clone())).collect()
    }
}

/// Where the configuration of a record is; `None` if the manifest is that of something else.
pub(crate) fn config_of(manifest: &[u8]) -> Result<Option<Descriptor>, MountError> {
    let manifest = Manifest::parse(manifest)?;
    if manifest.config.media_type != CONFIG_TYPE {
        return Ok(None);
    }
    if manifest.config.size > CONFIG_LIMIT {
        return Err(MountError::record("its configuration is too large"));
    }
    Ok(Some(manifest.config))
}

/// Layers of a manifest, each blob once.
#[derive(Default)]
struct Layers {
    list: Vec<Descriptor>,
    places: HashMap<Digest, usize>,
}

impl Layers {
    fn list(&mut self, chunk: &Chunk) -> ListedChunk {
        let list = &mut self.list;
        let layer = *self.places.entry(chunk.blob.digest).or_insert_with(|| {
            list.push(chunk.blob.clone());
            list.len() - 1
        });
        ListedChunk {
            raw: chunk.raw,
            size: chunk.size,
            layer,
        }
    }
}

fn resolved(
    listed: &[ListedChunk],
    layers: &[Descriptor],
    most: u64,
) -> Result<Vec<Chunk>, MountError> {
    let resolve = |chunk: &ListedChunk| {
        let blob = layers
            .get(chunk.layer)
            .ok_or_else(|| MountError::record("it lacks a chunk"))?;
        if chunk.size == 0 || chunk.size > most || blob.size > largest_blob(chunk.size) {
            return Err(MountError::record("it has a chunk of an impossible size"));
        }
        Ok(Chunk {
            raw: chunk.raw,
            size: chunk.size,
            blob: blob.clone(),
        })
    };
    listed.iter().map(resolve).collect()
}

fn total(chunks: &[Chunk]) -> Option<u64> {
    chunks
        .iter()
        .try_fold(0_u64, |sum, chunk| sum.checked_add(chunk.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> MountIdentity {
        MountIdentity {
            namespace: String::new(),
            id: "npm".to_owned(),
            seed: String::new(),
            platform: Platform::new("linux", "amd64"),
        }
    }

    fn chunk(raw: &[u8]) -> Chunk {
        Chunk {
            raw: Digest::of(raw),
            size: raw.len() as u64,
            blob: Descriptor::of(CHUNK_TYPE, &[raw, b"z"].concat()),
        }
    }

    fn saved() -> Saved {
        Saved {
            digest: Digest::of(b""),
            name: identity().name().to_string(),
            id: "npm".to_owned(),
            platform: Platform::new("linux", "amd64"),
            created: "2020-01-02T03:04:05Z".to_owned(),
            entries: 3,
            bytes: 9,
            listing: vec![chunk(b"listing")],
            content: vec![chunk(b"one"), chunk(b"two"), chunk(b"one")],
        }
    }

    #[test]
    fn a_record_survives_its_encoding() {
        let documents = saved().documents(&identity());
        let name = identity().name();
        let read = Saved::read(&name, &documents.manifest, &documents.config).unwrap();
        let digest = Digest::of(&documents.manifest);
        assert_eq!(read, Saved { digest, ..saved() });
        let layers = Manifest::parse(&documents.manifest).unwrap();
        assert_eq!(layers.layers().len(), 3, "a repeated chunk is one layer");
        let summary = Saved::summary(&documents.manifest).unwrap();
        assert_eq!((summary.id.as_str(), summary.bytes), ("npm", 9));
        assert!(is_mount_tag(&name.tag()));
        assert!(!is_mount_tag("mount-x") && !is_mount_tag(name.as_str()));
    }

    #[test]
    fn records_that_contradict_themselves_are_refused() {
        let documents = saved().documents(&identity());
        let config = String::from_utf8(documents.config).unwrap();
        let huge = format!("\"size\":{}", u64::MAX);
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"bytes\":9", "\"bytes\":8"),
            ("\"layer\":2", "\"layer\":9"),
            ("\"size\":3", "\"size\":0"),
            ("\"size\":3", huge.as_str()),
            ("\"size\":7", "\"size\":1073741824"),
            ("\"listing\":", "\"listed\":"),
            ("linux/amd64", "a/b/c/d/e"),
        ] {
            let changed = config.replacen(from, to, 1);
            assert_ne!(changed, config, "{from}");
            let read = Saved::read(&identity().name(), &documents.manifest, changed.as_bytes());
            assert!(
                matches!(read, Err(MountError::Record { .. })),
                "{from} {read:?}"
            );
        }
        let other = MountIdentity {
            id: "pip".to_owned(),
            ..identity()
        };
        assert!(Saved::read(&other.name(), &documents.manifest, config.as_bytes()).is_err());
    }
}
