//! Layers of earlier builds, by the key of the step that made them.
//!
//! A [`LayerCache`] lives in a repository of a registry or in an OCI layout directory. A [`Record`] is an
//! ordinary image of one layer: its tag is the key, its annotations say all that a build needs to
//! know without reading anything else. So one request answers whether a step has to run, registries
//! store records like any image, and their own rules for deleting old tags apply.
//!
//! A cache that cannot be read or written never fails a build: callers turn a [`CacheError`] into a
//! warning and a miss.

mod directory;
mod error;
mod record;
mod repository;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use yadokari_image::Repository;
use yadokari_plan::Key;
use yadokari_registry::Client;
use yadokari_store::Blob;

pub use error::CacheError;
pub use record::Record;

use crate::directory::Directory;
use crate::repository::RegistryCache;

/// Where records live.
#[derive(Debug, Clone)]
pub enum Location {
    /// A repository; each record is a tag.
    Repository(Repository),
    /// An OCI layout directory; each record is a reference in its index.
    Directory(PathBuf),
}

/// Finds and keeps layers by key.
#[derive(Debug, Clone)]
pub struct LayerCache {
    place: Place,
    lifetime: Duration,
}

#[derive(Debug, Clone)]
enum Place {
    Registry(RegistryCache),
    Directory(Directory),
}

impl LayerCache {
    /// Opens a cache. Nothing is contacted or created yet. Records older than `lifetime` are not found.
    pub fn new(location: Location, client: &Client, lifetime: Duration) -> Self {
        let place = match location {
            Location::Repository(repository) => {
                Place::Registry(RegistryCache::new(client.clone(), repository))
            }
            Location::Directory(path) => Place::Directory(Directory::new(path)),
        };
        Self { place, lifetime }
    }

    /// Finds the record of a key.
    ///
    /// `None` means that there is none, or that it is older than the cache's lifetime, counted to `now`.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be asked, or what it holds under the key is no record.
    pub async fn lookup(&self, key: Key, now: SystemTime) -> Result<Option<Record>, CacheError> {
        let found = match &self.place {
            Place::Registry(registry) => registry.lookup(key).await?,
            Place::Directory(directory) => directory.lookup(key)?,
        };
        Ok(found.filter(|record| record.is_younger(self.lifetime, now)))
    }

    /// Keeps a layer under a key. A record that is there already is replaced.
    ///
    /// The layer's bytes are pushed unless they are there; in a registry they are mounted from
    /// `elsewhere`, a repository that has them, if the registry allows that.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place refuses. What was written before stays and does no harm: the record
    /// itself comes last.
    pub async fn save(
        &self,
        key: Key,
        record: &Record,
        blob: &Blob,
        elsewhere: Option<&Repository>,
    ) -> Result<(), CacheError> {
        match &self.place {
            Place::Registry(registry) => registry.save(key, record, blob, elsewhere).await,
            Place::Directory(directory) => directory.save(key, record, blob),
        }
    }

    /// The repository that holds the layers, if it is one.
    pub fn repository(&self) -> Option<&Repository> {
        match &self.place {
            Place::Registry(registry) => Some(registry.repository()),
            Place::Directory(_) => None,
        }
    }

    /// The directory that holds the layers, if it is one.
    pub fn directory(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::Registry(_) => None,
            Place::Directory(directory) => Some(directory.path()),
        }
    }
}
