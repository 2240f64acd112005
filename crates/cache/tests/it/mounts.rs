//! Cache mounts that are saved and brought back, in a directory and in a registry.

mod hostile;
mod law;
mod saving;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use yadokari_cache::Location;
use yadokari_cache::mounts::{
    MountError, MountIdentity, MountStore, Restored, SaveRequest, Saved, SavedNow,
};
use yadokari_image::{Platform, Repository};
use yadokari_testkit::EmbeddedRegistry;
use yadokari_tree::Tree;

use crate::sample::client;

pub(crate) fn identity(id: &str) -> MountIdentity {
    MountIdentity {
        namespace: String::new(),
        id: id.to_owned(),
        seed: String::new(),
        platform: Platform::new("linux", "amd64"),
    }
}

/// A store in a directory that does not exist yet.
pub(crate) fn in_directory(folder: &Path) -> MountStore {
    MountStore::new(Location::Directory(folder.join("saved")), &client(), None)
}

pub(crate) fn in_registry(registry: &EmbeddedRegistry, limit: Option<u64>) -> MountStore {
    let repository = Repository::new(&registry.address(), "app/cache").unwrap();
    MountStore::new(Location::Repository(repository), &client(), limit)
}

/// A directory with files to keep.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Self { folder };
        fs::create_dir(made.path()).unwrap();
        for (name, bytes) in files {
            made.write(name, bytes);
        }
        made
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) async fn save(
        &self,
        store: &MountStore,
        base: Option<&Saved>,
        before: Option<&Tree>,
    ) -> Result<SavedNow, MountError> {
        let request = SaveRequest {
            identity: &identity("npm"),
            directory: &self.path(),
            base,
            before,
            created: "2020-01-02T03:04:05Z".to_owned(),
            threads: 2,
        };
        store.save(&request).await
    }

    /// Saves what has to be saved, and gives the record and the bytes that were sent.
    pub(crate) async fn keep(&self, store: &MountStore, base: Option<&Saved>) -> (Saved, u64) {
        match self.save(store, base, None).await.unwrap() {
            SavedNow::Saved { saved, sent } => (*saved, sent),
            other => panic!("nothing was saved: {other:?}"),
        }
    }
}

/// Restores a record into a fresh directory.
pub(crate) async fn restored(store: &MountStore, saved: &Saved) -> (TempDir, Restored) {
    let folder = tempfile::tempdir().unwrap();
    let back = folder.path().join("back");
    let restored = store.restore(saved, &back, 2).await.unwrap();
    (folder, restored)
}

/// Bytes without repetition, the same every time.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
