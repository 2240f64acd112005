//! An image on this machine: in a layout, or unpacked from an archive.

use std::path::{Path, PathBuf};

use yadokari_image::{Descriptor, Index, Reference, media_type};
use yadokari_store::{
    Content, Export, Flavour, Layout, Others, Spool, read_archive, write_archive_file,
};

use super::{Ground, failed};
use crate::report::Failure;

/// An image whose blobs are files here.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) export: Export,
    files: Files,
}

/// Where the blobs are.
#[derive(Debug)]
pub(super) enum Files {
    Layout(Layout),
    Spool(Spool),
}

impl Held {
    /// An image whose layers were put into a spool.
    pub(super) fn spooled(export: Export, spool: Spool) -> Self {
        Self {
            export,
            files: Files::Spool(spool),
        }
    }

    /// Opens a layout directory or an archive, whichever the path is. It must hold one image, unless `name` chooses one.
    pub(super) fn open(
        path: &Path,
        name: Option<&str>,
        ground: &Ground<'_>,
    ) -> Result<Self, Failure> {
        let path = ground.environment.directory.join(path);
        if path.is_dir() {
            return Self::of_layout(&path, name);
        }
        let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
        let export = read_archive(&path, &spool).map_err(failed)?;
        Ok(Self::spooled(export, spool))
    }

    fn of_layout(path: &Path, name: Option<&str>) -> Result<Self, Failure> {
        let layout = Layout::open(path).map_err(failed)?;
        let entry = match name {
            Some(name) => layout.find(name).map_err(failed)?.ok_or_else(|| {
                Failure::told(format!("{} has no image named {name}", path.display()))
            })?,
            None => only_entry(&layout, path)?,
        };
        let export = export(&layout, &entry).map_err(failed)?;
        Ok(Self {
            export,
            files: Files::Layout(layout),
        })
    }

    /// What the image's name stands for: its manifest, or its index.
    pub(super) fn top(&self) -> (Vec<u8>, String) {
        match &self.export.content {
            Content::Image(image) => (
                image.manifest().to_vec(),
                image.descriptor().media_type.clone(),
            ),
            Content::Index {
                bytes, media_type, ..
            } => (bytes.clone(), media_type.clone()),
        }
    }

    /// The file of a blob.
    pub(super) fn file(&self, blob: &Descriptor) -> Result<PathBuf, Failure> {
        match &self.files {
            Files::Layout(layout) => Ok(layout.blob(blob).map_err(failed)?.path),
            Files::Spool(spool) => Ok(spool.path_of(&blob.digest)),
        }
    }

    /// Writes the image into a layout, beside what that holds already.
    pub(super) fn write_layout(mut self, path: &Path, name: Option<&str>) -> Result<(), Failure> {
        if let Some(name) = name {
            let tag = yadokari_store::REF_NAME.to_owned();
            self.export.names.clear();
            self.export.annotations.insert(tag, name.to_owned());
        }
        Layout::write(path, &[self.export], Others::Keep).map_err(failed)?;
        Ok(())
    }

    /// Writes the image into an archive.
    pub(super) fn write_archive(
        mut self,
        path: &Path,
        flavour: Flavour,
        names: &[Reference],
    ) -> Result<(), Failure> {
        self.export.names.extend_from_slice(names);
        write_archive_file(&[self.export], flavour, path).map_err(failed)
    }
}

fn only_entry(layout: &Layout, path: &Path) -> Result<Descriptor, Failure> {
    let mut entries = layout.index().map_err(failed)?.manifests;
    // One image under several names is one image.
    entries.dedup_by(|one, other| one.same_blob(other));
    match (entries.pop(), entries.is_empty()) {
        (Some(entry), true) => Ok(entry),
        (None, _) => Err(Failure::told(format!("{} holds no image", path.display()))),
        (Some(_), false) => Err(Failure::told(format!(
            "{} holds {} images instead of one",
            path.display(),
            entries.len() + 1
        ))
        .with_hint("name one of them, as oci:DIR:TAG")),
    }
}

fn export(layout: &Layout, entry: &Descriptor) -> Result<Export, yadokari_store::LayoutError> {
    if !media_type::is_index(&entry.media_type) {
        return Ok(Export::new(Content::Image(layout.image(entry)?)));
    }
    let bytes = layout.read(entry)?;
    let index: Index =
        serde_json::from_slice(&bytes).map_err(|source| yadokari_store::LayoutError::Json {
            path: entry.digest.to_string().into(),
            source,
        })?;
    let images = index.manifests.iter().map(|entry| layout.image(entry));
    Ok(Export::new(Content::Index {
        images: images.collect::<Result<_, _>>()?,
        media_type: entry.media_type.clone(),
        bytes,
    }))
}
