//! Saved cache mounts: found, read back, saved.

use std::path::{Path, PathBuf};

use yadokari_image::{Digest, Repository};
use yadokari_registry::Client;
use yadokari_tree::Tree;

use crate::mounts::chunks;
use crate::mounts::document::{self, Saved};
use crate::mounts::error::MountError;
use crate::mounts::folder::Folder;
use crate::mounts::listing;
use crate::mounts::name::MountIdentity;
use crate::mounts::place::Place;
use crate::scope::scoped;
use crate::{Location, Scopes};

/// Keeps cache mounts in a repository or in an OCI layout directory.
#[derive(Debug, Clone)]
pub struct MountStore {
    pub(crate) place: Place,
    pub(crate) limit: Option<u64>,
    scopes: Scopes,
}

impl MountStore {
    /// Opens a store. Nothing is contacted or created yet. A mount whose files hold more than `limit` bytes is
    /// neither saved nor restored.
    #[must_use]
    pub fn new(location: Location, client: &Client, limit: Option<u64>) -> Self {
        let place = match location {
            Location::Repository(repository) => Place::Repository(client.clone(), repository),
            Location::Directory(path) => Place::Directory(Folder::new(path)),
        };
        Self {
            place,
            limit,
            scopes: Scopes::default(),
        }
    }

    /// A store in a repository, without a limit.
    pub(crate) fn in_repository(client: &Client, repository: Repository) -> Self {
        Self::new(Location::Repository(repository), client, None)
    }

    /// A store in a directory, without a limit.
    pub(crate) fn in_directory(path: PathBuf) -> Self {
        Self {
            place: Place::Directory(Folder::new(path)),
            limit: None,
            scopes: Scopes::default(),
        }
    }

    /// Reads everything that is saved under a tag and compares it with what the record says.
    pub(crate) async fn verify(&self, tag: &str) -> Result<(), MountError> {
        let manifest = self.place.manifest(tag).await?;
        let manifest = manifest.ok_or(MountError::record("it is gone"))?;
        let config = document::config_of(&manifest)?;
        let config = config.ok_or(MountError::record("it is no cache mount"))?;
        let config = self.place.blob(&config).await?;
        let saved = Saved::parse(&manifest, &config)?;
        self.listing(&saved).await?;
        for chunk in &saved.content {
            let blob = self.place.blob(&chunk.blob).await?;
            let chunk = chunk.clone();
            blocking(move || chunks::unpack(&chunk, &blob)).await?;
        }
        Ok(())
    }

    /// The same store, where records are written to one scope and read from several.
    #[must_use]
    pub fn scoped(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// The directory, if the store is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Repository(..) => None,
            Place::Directory(folder) => Some(folder.path()),
        }
    }

    /// Finds what is saved of a mount, in the first scope that has it.
    ///
    /// # Errors
    ///
    /// [`MountError`] if the place cannot be asked or what it holds contradicts itself.
    pub async fn find(&self, identity: &MountIdentity) -> Result<Option<Saved>, MountError> {
        for scope in self.scopes.all() {
            let found = self.find_in(scope, identity).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn find_in(
        &self,
        scope: Option<&str>,
        identity: &MountIdentity,
    ) -> Result<Option<Saved>, MountError> {
        let name = identity.name();
        let Some(manifest) = self.place.manifest(&scoped(scope, &name.tag())).await? else {
            return Ok(None);
        };
        let Some(config) = document::config_of(&manifest)? else {
            return Ok(None);
        };
        let bytes = self.place.blob(&config).await?;
        Saved::read(&name, &manifest, &bytes).map(Some)
    }

    /// The tag under which a mount is saved.
    pub(crate) fn own_tag(&self, identity: &MountIdentity) -> String {
        scoped(self.scopes.own(), &identity.name().tag())
    }

    /// Reads the list of files of a saved mount.
    ///
    /// # Errors
    ///
    /// [`MountError`] if a chunk is missing or not what the record says.
    pub async fn listing(&self, saved: &Saved) -> Result<Tree, MountError> {
        let mut text = Vec::new();
        for chunk in &saved.listing {
            let blob = self.place.blob(&chunk.blob).await?;
            text.extend(chunks::unpack(chunk, &blob)?);
        }
        let (bytes, entries) = (saved.bytes, saved.entries);
        blocking(move || {
            let tree = listing::parse(text)?;
            if listing::bytes(&tree) != Some(bytes) || tree.len() as u64 != entries {
                return Err(MountError::record(
                    "its list of files does not fit its content",
                ));
            }
            Ok(tree)
        })
        .await
    }
}

impl Saved {
    /// Whether two records are the same, as their manifests are.
    #[must_use]
    pub fn is(&self, digest: Digest) -> bool {
        self.digest == digest
    }
}

/// Runs a closure on the pool of blocking threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
