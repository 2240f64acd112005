//! Records in an OCI layout directory.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use yadokari_image::{Descriptor, Digest, Manifest, Reference};
use yadokari_plan::Key;
use yadokari_store::{Blob, Content, Export, ImageBlobs, LayerBlob, Layout, Others};

use crate::record::Documents;
use crate::scope::{record_tag, trail_tag};
use crate::trail;
use crate::{CacheError, Record, Trail};

/// A cache on disk.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lookup(
        &self,
        scope: Option<&str>,
        key: Key,
    ) -> Result<Option<Record>, CacheError> {
        let Some((layout, manifest)) = self.manifest(&record_tag(scope, key))? else {
            return Ok(None);
        };
        let record = Record::read(scope, key, &manifest)?;
        if let Some(record) = &record {
            // Somebody may have cleaned up; better to find out now than when the layer is needed.
            layout.blob(&record.layer)?;
        }
        Ok(record)
    }

    pub(crate) fn save(
        &self,
        scope: Option<&str>,
        key: Key,
        record: &Record,
        blob: &Blob,
    ) -> Result<(), CacheError> {
        let layer = LayerBlob::from_blob(record.layer.clone(), blob.clone());
        let documents = record.documents(scope, key);
        self.write(&record_tag(scope, key), documents, layer, &record.created)
    }

    /// Keeps a record whose layer is here; says whether it was.
    pub(crate) fn adopt(
        &self,
        scope: Option<&str>,
        key: Key,
        record: &Record,
    ) -> Result<bool, CacheError> {
        if !self.holds(record) {
            return Ok(false);
        }
        let blob = Layout::open(&self.path)?.blob(&record.layer)?;
        self.save(scope, key, record, &blob)?;
        Ok(true)
    }

    pub(crate) fn holds(&self, record: &Record) -> bool {
        Layout::open(&self.path).is_ok_and(|layout| layout.blob(&record.layer).is_ok())
    }

    /// The configuration that carries a trail.
    pub(crate) fn trail(
        &self,
        scope: Option<&str>,
        name: &str,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let Some((layout, manifest)) = self.manifest(&trail_tag(scope, name))? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&manifest).map_err(|error| CacheError::NoTrail {
            reason: error.to_string(),
        })?;
        Ok(Some(layout.read(&manifest.config)?))
    }

    pub(crate) fn save_trail(
        &self,
        scope: Option<&str>,
        name: &str,
        trail: &Trail,
    ) -> Result<(), CacheError> {
        let image = trail::image(trail);
        let bytes = image.layer;
        let open = move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
        let layer = LayerBlob::new(image.layer_descriptor, open);
        self.write(&trail_tag(scope, name), image.documents, layer, &trail.made)
    }

    /// The entries of the index with the tags of this cache; none if there is no cache yet.
    pub(crate) fn tags(&self) -> Result<Vec<(String, Descriptor)>, CacheError> {
        if !self.path.join("index.json").exists() {
            return Ok(Vec::new());
        }
        let entries = Layout::open(&self.path)?.index()?.manifests;
        let tagged = entries.into_iter().filter_map(|entry| {
            let name = entry.annotations.as_ref()?.get(REF_NAME)?.clone();
            Some((name, entry))
        });
        Ok(tagged.collect())
    }

    /// Takes entries off the index, then removes the blobs that only they needed.
    pub(crate) fn remove(&self, tags: &[String]) -> Result<(), CacheError> {
        let layout = Layout::open(&self.path)?;
        let gone: Vec<_> = self
            .tags()?
            .into_iter()
            .filter(|(tag, _)| tags.contains(tag))
            .collect();
        let mut orphans = BTreeSet::new();
        for (tag, entry) in &gone {
            orphans.extend(self.blobs_of(&layout, entry));
            layout.forget(tag)?;
        }
        for entry in layout.index()?.manifests {
            for needed in self.blobs_of(&layout, &entry) {
                orphans.remove(&needed);
            }
        }
        orphans
            .into_iter()
            .try_for_each(|digest| self.remove_blob(digest))
    }

    /// The manifest of an entry and all that it names.
    fn blobs_of(&self, layout: &Layout, entry: &Descriptor) -> BTreeSet<Digest> {
        let mut blobs = BTreeSet::from([entry.digest]);
        let manifest = layout.read(entry).ok();
        if let Some(manifest) = manifest.and_then(|bytes| Manifest::parse(&bytes).ok()) {
            blobs.insert(manifest.config.digest);
            blobs.extend(manifest.layers().iter().map(|layer| layer.digest));
        }
        blobs
    }

    pub(crate) fn remove_blob(&self, digest: Digest) -> Result<(), CacheError> {
        let path = self.path.join("blobs/sha256").join(digest.hex());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CacheError::disk("remove", path, error))
            }
            _ => Ok(()),
        }
    }

    fn manifest(&self, tag: &str) -> Result<Option<(Layout, Vec<u8>)>, CacheError> {
        if !self.path.join("index.json").exists() {
            return Ok(None);
        }
        let layout = Layout::open(&self.path)?;
        let Some(descriptor) = layout.find(&name(tag).to_string())? else {
            return Ok(None);
        };
        let manifest = layout.read(&descriptor)?;
        Ok(Some((layout, manifest)))
    }

    fn write(
        &self,
        tag: &str,
        documents: Documents,
        layer: LayerBlob,
        created: &str,
    ) -> Result<(), CacheError> {
        let image = ImageBlobs::new(documents.manifest, documents.config, vec![layer])?;
        let mut export = Export::new(Content::Image(image));
        export.names = vec![name(tag)];
        export.created = Some(created.to_owned());
        Layout::write(&self.path, &[export], Others::Keep)?;
        Ok(())
    }
}

/// The annotation that holds an entry's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The name that a tag has in the layout.
fn name(tag: &str) -> Reference {
    Reference::parse(&format!("cache.yadokari.invalid/record:{tag}"))
        .expect("tags of this cache are made of letters that a tag may have")
}
