//! Records in an OCI layout directory.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use yadokari_image::{Descriptor, Digest, Manifest, Reference};
use yadokari_plan::Key;
use yadokari_store::{Blob, Content, Export, ImageBlobs, LayerBlob, Layout, Others, Swept};

use crate::note::Note;
use crate::record::Documents;
use crate::scope::record_tag;
use crate::{CacheError, Record};

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

    /// The configuration that carries a note.
    pub(crate) fn note(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let Some((layout, manifest)) = self.manifest(tag)? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&manifest).map_err(|error| CacheError::NoNote {
            reason: error.to_string(),
        })?;
        Ok(Some(layout.read(&manifest.config)?))
    }

    pub(crate) fn save_note(&self, tag: &str, note: Note) -> Result<(), CacheError> {
        let bytes = note.layer;
        let open = move || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
        let layer = LayerBlob::new(note.layer_descriptor, open);
        self.write(tag, note.documents, layer, &note.made)
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
        let mut released = BTreeSet::new();
        for (tag, entry) in &gone {
            released.extend(layout.named_by(entry));
            layout.forget(tag)?;
        }
        Ok(layout.release(&released)?)
    }

    pub(crate) fn remove_blob(&self, digest: Digest) -> Result<(), CacheError> {
        Ok(Layout::open(&self.path)?.remove_blob(digest)?)
    }

    /// Removes blobs from before this time that nothing on the list needs, or counts them.
    pub(crate) fn sweep(&self, before: SystemTime, dry_run: bool) -> Result<Swept, CacheError> {
        if !self.path.join("index.json").exists() {
            return Ok(Swept::default());
        }
        Ok(Layout::open(&self.path)?.sweep(before, dry_run)?)
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

    /// The blobs of what a tag stands for; none if that is nothing.
    fn named_under(&self, tag: &str) -> BTreeSet<Digest> {
        let layout = Layout::open(&self.path).ok();
        let found = layout.and_then(|layout| {
            let entry = layout.find(&name(tag).to_string()).ok()??;
            Some(layout.named_by(&entry))
        });
        found.unwrap_or_default()
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
        let replaced = self.named_under(tag);
        self.create()?;
        let layout = Layout::write(&self.path, &[export], Others::Keep)?;
        if !replaced.is_empty() {
            layout.release(&replaced)?;
        }
        Ok(())
    }

    /// Makes the directory, unless somebody else did.
    ///
    /// A layout that is made as a whole beside its place can be moved there by one writer only. In a directory that is
    /// there, any number of builds may write at once.
    fn create(&self) -> Result<(), CacheError> {
        fs::create_dir_all(&self.path).map_err(|source| CacheError::Create {
            path: self.path.clone(),
            source,
        })
    }
}

/// The annotation that holds an entry's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The name that a tag has in the layout.
fn name(tag: &str) -> Reference {
    Reference::parse(&format!("cache.yadokari.invalid/record:{tag}"))
        .expect("tags of this cache are made of letters that a tag may have")
}
