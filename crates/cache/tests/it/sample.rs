//! A layer to keep, and clients that reach nothing but this machine.

use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use yadokari_cache::{LayerBytes, LayerCache, Location, Record};
use yadokari_image::{Descriptor, DiffId, Digest, Platform, Repository, media_type};
use yadokari_plan::Key;
use yadokari_registry::{Client, Options};
use yadokari_store::{Blob, Spool};

/// Some of the day that [`made`] is in.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn key(digit: char) -> Key {
    Key::from_hex(&digit.to_string().repeat(64)).unwrap()
}

/// When the records of these tests are made.
pub(crate) fn made() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_934_245)
}

pub(crate) fn client() -> Client {
    Client::new(Options::default()).unwrap()
}

/// A directory with a layer in it, and the record that describes it.
pub(crate) struct Sample {
    pub(crate) folder: TempDir,
    pub(crate) blob: Blob,
    pub(crate) record: Record,
}

impl Sample {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blob = Spool::open(folder.path().join("spool"))
            .unwrap()
            .put(bytes)
            .unwrap();
        let record = Record {
            layer: Descriptor::of(media_type::OCI_LAYER_GZIP, bytes),
            diff_id: DiffId::from_digest(Digest::of(b"tar")),
            created: "2020-01-02T03:04:05Z".to_owned(),
            instruction: "RUN make && \"quote\" <tag>".to_owned(),
            platform: Platform::parse("linux/arm/v7").unwrap(),
            parent: Some(Digest::of(b"below")),
            restated: None,
        };
        Self {
            folder,
            blob,
            record,
        }
    }

    /// A cache in a directory that does not exist yet.
    pub(crate) fn directory_cache(&self) -> LayerCache {
        LayerCache::new(
            Location::Directory(self.folder.path().join("cache")),
            &client(),
            24 * HOUR,
        )
    }

    pub(crate) async fn keep(&self, cache: &LayerCache, key: Key, elsewhere: Option<&Repository>) {
        let bytes = LayerBytes {
            elsewhere,
            ..LayerBytes::of(&self.blob)
        };
        cache.save(key, &self.record, bytes).await.unwrap();
    }
}
