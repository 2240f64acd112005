//! Records in an OCI layout directory, whose chunks are removed when no record needs them any more.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use yadokari_image::{Descriptor, Digest, Manifest, Reference};
use yadokari_store::{Content, Export, ImageBlobs, LayerBlob, Layout, Others, write_atomically};

use crate::mounts::document::Documents;
use crate::mounts::error::MountError;
use crate::mounts::locks::{LockKind, MountLock};

/// An OCI layout directory.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
}

/// Held by those who read or write chunks, and whole by those who remove some.
const LOCK: &str = "cache-mounts.lock";

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps chunks from being removed. `None` where somebody is about to remove some, or nothing may be written.
    pub(crate) fn hold(&self) -> Result<Option<MountLock>, MountError> {
        match self.path.exists() {
            true => Ok(MountLock::try_take(&self.lock(), LockKind::Shared).unwrap_or_default()),
            false => Ok(None),
        }
    }

    pub(crate) fn manifest(&self, tag: &str) -> Result<Option<Bytes>, MountError> {
        if !self.path.join("index.json").exists() {
            return Ok(None);
        }
        let layout = Layout::open(&self.path)?;
        let Some(descriptor) = layout.find(&name(tag).to_string())? else {
            return Ok(None);
        };
        Ok(Some(layout.read(&descriptor)?.into()))
    }

    pub(crate) fn read(&self, descriptor: &Descriptor) -> Result<Bytes, MountError> {
        let bytes = fs::read(self.blob(descriptor.digest))
            .map_err(|source| MountError::blob(descriptor, source))?;
        if Digest::of(&bytes) != descriptor.digest {
            return Err(MountError::Chunk {
                digest: descriptor.digest,
            });
        }
        Ok(bytes.into())
    }

    /// Writes a blob, unless it is there. Says whether it was written.
    pub(crate) fn write(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool, MountError> {
        let path = self.blob(descriptor.digest);
        if fs::metadata(&path).is_ok_and(|found| found.len() == descriptor.size) {
            return Ok(false);
        }
        let parent = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent).map_err(|source| MountError::disk(parent, source))?;
        write_atomically(&path, bytes)?;
        Ok(true)
    }

    /// Puts a record on the list, in the place of the one before.
    pub(crate) fn publish(
        &self,
        tag: &str,
        documents: Documents,
        chunks: &[Descriptor],
        created: String,
    ) -> Result<(), MountError> {
        let layer = |descriptor: &Descriptor| {
            let file = self.blob(descriptor.digest);
            LayerBlob::new(descriptor.clone(), move || Ok(Box::new(File::open(&file)?)))
        };
        let layers = chunks.iter().map(layer).collect();
        let image = ImageBlobs::new(documents.manifest, documents.config, layers)?;
        let mut export = Export::new(Content::Image(image));
        export.names = vec![name(tag)];
        export.created = Some(created);
        Layout::write(&self.path, &[export], Others::Keep)?;
        Ok(())
    }

    /// Removes the blobs of a manifest, as far as none on the list has them too.
    ///
    /// Where somebody else is at work here, everything stays.
    pub(crate) fn clean(&self, manifest: &[u8]) -> Result<(), MountError> {
        let Some(_alone) = MountLock::try_take(&self.lock(), LockKind::Exclusive)? else {
            return Ok(());
        };
        let layout = Layout::open(&self.path)?;
        let mut orphans = blobs(manifest);
        orphans.insert(Digest::of(manifest));
        for entry in layout.index()?.manifests {
            orphans.remove(&entry.digest);
            let needed = blobs(&layout.read(&entry)?);
            orphans.retain(|digest| !needed.contains(digest));
        }
        for orphan in orphans {
            let path = self.blob(orphan);
            fs::remove_file(&path).map_err(|source| MountError::disk(&path, source))?;
        }
        Ok(())
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.path.join("blobs").join("sha256").join(digest.hex())
    }

    fn lock(&self) -> PathBuf {
        self.path.join(LOCK)
    }
}

/// The blobs that a manifest names.
fn blobs(manifest: &[u8]) -> BTreeSet<Digest> {
    let Ok(manifest) = Manifest::parse(manifest) else {
        return BTreeSet::new();
    };
    let layers = manifest.layers().iter().map(|layer| layer.digest);
    layers.chain([manifest.config.digest]).collect()
}

/// The name that a tag has in the layout.
fn name(tag: &str) -> Reference {
    Reference::parse(&format!("cache.yadokari.invalid/mount:{tag}"))
        .expect("names of mounts and scopes are written in the letters of tags")
}
