//! Layers of earlier builds, by the key of the step that made them.
//!
//! A [`LayerCache`] lives in a repository of a registry or in an OCI layout directory. A [`Record`] is an
//! ordinary image of one layer: its tag is the key, its annotations say all that a build needs to
//! know without reading anything else. So one request answers whether a step has to run, registries
//! store records like any image, and their own rules for deleting old tags apply.
//!
//! A cache that cannot be read or written never fails a build: callers turn a [`CacheError`] into a
//! warning and a miss.
//!
//! Beside records a cache holds [`Trails`]: what the keys of the last builds of a target were made from, so that
//! the next one can say why it misses; and [`KnownDownload`]s, by which a server can be asked whether a file is still
//! the same. [`LayerCache::entries`], [`LayerCache::remove`] and [`LayerCache::verify`]
//! are for whoever keeps the house.

mod directory;
mod download;
mod error;
mod inventory;
pub mod mounts;
mod note;
mod record;
mod repository;
mod scope;
mod trail;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use tokio::sync::Mutex;
use yadokari_image::Repository;
use yadokari_plan::Key;
use yadokari_registry::{Client, Source};
use yadokari_store::Blob;

pub use download::KnownDownload;
pub use error::CacheError;
pub use inventory::{Entry, EntryKind, Finding, Limits, doomed};
pub use record::Record;
pub use scope::Scopes;
pub use trail::{
    Fact, FileFact, Nearest, Origin, Trail, TrailStage, TrailStep, Trails, changed, why,
};

use crate::directory::Directory;
use crate::note::Note;
use crate::repository::RegistryCache;
use crate::scope::{download_tag, trail_tag};

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
    scopes: Scopes,
    lifetime: Duration,
}

#[derive(Debug, Clone)]
pub(crate) enum Place {
    Registry(RegistryCache),
    Directory(Directory),
}

/// The bytes of a layer that is kept.
#[derive(Clone, Copy)]
pub struct LayerBytes<'a> {
    /// Where they are on this machine.
    pub blob: &'a Blob,
    /// How they are read for a registry, so that whoever keeps the layer can watch.
    pub source: &'a dyn Source,
    /// A repository of the cache's registry that has them, to mount them from if the registry allows that.
    pub elsewhere: Option<&'a Repository>,
}

impl std::fmt::Debug for LayerBytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerBytes")
            .field("blob", self.blob)
            .field("elsewhere", &self.elsewhere)
            .finish_non_exhaustive()
    }
}

impl<'a> LayerBytes<'a> {
    /// The bytes of a blob, which no repository has.
    #[must_use]
    pub fn of(blob: &'a Blob) -> Self {
        Self {
            blob,
            source: &blob.path,
            elsewhere: None,
        }
    }
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
        Self {
            place,
            scopes: Scopes::default(),
            lifetime,
        }
    }

    /// The same cache, seen from these scopes.
    #[must_use]
    pub fn scoped(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// Finds the record of a key. All scopes are asked at once; the first that has one counts.
    ///
    /// `None` means that there is none, or that it is older than the cache's lifetime, counted to `now`.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be asked, or what it holds under the key is no record, and no scope has
    /// one.
    pub async fn lookup(&self, key: Key, now: SystemTime) -> Result<Option<Record>, CacheError> {
        let scopes = self.scopes.all();
        let answers = join_all(scopes.iter().map(|scope| async {
            match &self.place {
                Place::Registry(registry) => registry.lookup(*scope, key).await,
                Place::Directory(directory) => directory.lookup(*scope, key),
            }
        }));
        let is_young = |record: &Record| record.is_younger(self.lifetime, now);
        let young = answers.await.into_iter();
        first(young.map(|answer| Ok(answer?.filter(is_young))))
    }

    /// Keeps a layer under a key. A record that is there already is replaced.
    ///
    /// The layer's bytes are pushed unless they are there, or can be mounted.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place refuses. What was written before stays and does no harm: the record
    /// itself comes last.
    pub async fn save(
        &self,
        key: Key,
        record: &Record,
        bytes: LayerBytes<'_>,
    ) -> Result<(), CacheError> {
        let scope = self.scopes.own();
        match &self.place {
            Place::Registry(registry) => registry.save(scope, key, record, bytes).await,
            Place::Directory(directory) => directory.save(scope, key, record, bytes.blob),
        }
    }

    /// Keeps a layer under a key without moving its bytes; says whether that was possible.
    ///
    /// The layer has to be in this cache already, or in `elsewhere`, a repository of the same registry.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place refuses the record.
    pub async fn adopt(
        &self,
        key: Key,
        record: &Record,
        elsewhere: Option<&Repository>,
    ) -> Result<bool, CacheError> {
        let scope = self.scopes.own();
        match &self.place {
            Place::Registry(registry) => registry.adopt(scope, key, record, elsewhere).await,
            Place::Directory(directory) => directory.adopt(scope, key, record),
        }
    }

    /// Whether the layer of a record is still there, as large as the record says. No byte of it is read.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be asked.
    pub async fn holds(&self, record: &Record) -> Result<bool, CacheError> {
        match &self.place {
            Place::Registry(registry) => registry.holds(record).await,
            Place::Directory(directory) => Ok(directory.holds(record)),
        }
    }

    /// Removes the bytes of a layer that are not what they should be, so that the next to keep it writes them anew.
    ///
    /// A registry checks what it is given, and keeps it.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the file cannot be removed.
    pub fn discard(&self, layer: yadokari_image::Digest) -> Result<(), CacheError> {
        match &self.place {
            Place::Registry(_) => Ok(()),
            Place::Directory(directory) => directory.remove_blob(layer),
        }
    }

    /// What the last builds that go by this name were made from, in all scopes, those of the first scope first.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be asked, or what it holds is no trail.
    pub async fn trails(&self, name: &str) -> Result<Trails, CacheError> {
        let scopes = self.scopes.all();
        let answers = join_all(scopes.iter().map(|scope| self.trails_of(*scope, name)));
        let mut all = Trails::default();
        for found in answers.await {
            all.builds.extend(found?.builds);
        }
        Ok(all)
    }

    async fn trails_of(&self, scope: Option<&str>, name: &str) -> Result<Trails, CacheError> {
        let found = self.note(&trail_tag(scope, name)).await?;
        found.map_or(Ok(Trails::default()), |config| {
            note::read(trail::LABEL, scope, &config)
        })
    }

    /// Keeps what a build was made from, beside what is known of others of this name.
    ///
    /// Builds of one process take turns. Of several machines that do this at the same moment one may undo what the
    /// other wrote; its next build is then compared with its neighbour's.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place refuses.
    pub async fn save_trail(&self, name: &str, trail: Trail) -> Result<(), CacheError> {
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        let scope = self.scopes.own();
        // What cannot be read, because another version wrote it, is replaced.
        let mut trails = self.trails_of(scope, name).await.unwrap_or_default();
        trails.keep(trail);
        let made = trails.builds.first().map(|trail| trail.made.clone());
        let note = note::write(trail::LABEL, scope, made.unwrap_or_default(), &trails);
        self.save_note(&trail_tag(scope, name), note).await
    }

    /// What an earlier build noted of the file at a URL. All scopes are asked at once; the first that knows it counts.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be asked, or what it holds cannot be read, and no scope knows it.
    pub async fn download(&self, url: &str) -> Result<Option<KnownDownload>, CacheError> {
        let scopes = self.scopes.all();
        let answers = scopes.iter().map(|scope| async {
            let found = self.note(&download_tag(*scope, url)).await?;
            let known = found.map(|config| note::read(download::LABEL, *scope, &config));
            known.transpose()
        });
        first(join_all(answers).await)
    }

    /// Notes what the file at a URL is, in place of what was known. The URL itself, which may hold a secret, is not kept.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place refuses.
    pub async fn save_download(&self, url: &str, known: &KnownDownload) -> Result<(), CacheError> {
        let scope = self.scopes.own();
        let note = note::write(download::LABEL, scope, known.made.clone(), known);
        let tag = download_tag(scope, url);
        self.save_note(&tag, note).await
    }

    async fn note(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError> {
        match &self.place {
            Place::Registry(registry) => registry.note(tag).await,
            Place::Directory(directory) => directory.note(tag),
        }
    }

    async fn save_note(&self, tag: &str, note: Note) -> Result<(), CacheError> {
        match &self.place {
            Place::Registry(registry) => registry.save_note(tag, note).await,
            Place::Directory(directory) => directory.save_note(tag, note),
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

/// The first answer that there is; else the first reason why one could not be had.
fn first<T>(
    answers: impl IntoIterator<Item = Result<Option<T>, CacheError>>,
) -> Result<Option<T>, CacheError> {
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(None), Err)
}
