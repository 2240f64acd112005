//! Records in an OCI layout directory.

use std::path::{Path, PathBuf};

use yadokari_image::Reference;
use yadokari_plan::Key;
use yadokari_store::{Blob, Content, Export, ImageBlobs, LayerBlob, Layout, Others};

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

    pub(crate) fn lookup(&self, key: Key) -> Result<Option<Record>, CacheError> {
        if !self.path.join("index.json").exists() {
            return Ok(None);
        }
        let layout = Layout::open(&self.path)?;
        let Some(descriptor) = layout.find(&name(key).to_string())? else {
            return Ok(None);
        };
        let manifest = layout.read(&descriptor)?;
        let record = Record::read(key, &manifest)?;
        if let Some(record) = &record {
            // Somebody may have cleaned up; better to find out now than when the layer is needed.
            layout.blob(&record.layer)?;
        }
        Ok(record)
    }

    pub(crate) fn save(&self, key: Key, record: &Record, blob: &Blob) -> Result<(), CacheError> {
        let documents = record.documents(key);
        let layer = LayerBlob::from_blob(record.layer.clone(), blob.clone());
        let image = ImageBlobs::new(documents.manifest, documents.config, vec![layer])?;
        let mut export = Export::new(Content::Image(image));
        export.names = vec![name(key)];
        export.created = Some(record.created.clone());
        Layout::write(&self.path, &[export], Others::Keep)?;
        Ok(())
    }
}

/// The name a record has in the layout.
fn name(key: Key) -> Reference {
    Reference::parse(&format!("cache.yadokari.invalid/record:{key}"))
        .expect("64 hexadecimal digits are a tag")
}
