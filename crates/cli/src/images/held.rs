//! An image on this machine: in a layout, or unpacked from an archive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use yadokari_image::{Descriptor, Digest, Index, Manifest, Reference, media_type};
use yadokari_store::{
    Content, Export, Flavour, Layout, LayoutError, Others, Spool, read_archive, write_archive_file,
};

use super::{Ground, failed};
use crate::report::Failure;

/// An image whose blobs are files here.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) export: Export,
    /// What refers to it: signatures, attestations and the like.
    pub(super) referrers: Vec<Export>,
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
            referrers: Vec::new(),
            files: Files::Spool(spool),
        }
    }

    /// Opens a layout directory or an archive, whichever the path is. It must hold one image.
    pub(super) fn open(path: &Path, ground: &Ground<'_>) -> Result<Self, Failure> {
        let path = ground.environment.directory.join(path);
        if path.is_dir() {
            return Self::of_layout(&path, None, None);
        }
        let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
        let export = read_archive(&path, &spool).map_err(failed)?;
        Ok(Self::spooled(export, spool))
    }

    /// Opens the image of a layout that a name or digest chooses, or its only one.
    pub(super) fn of_layout(
        path: &Path,
        name: Option<&str>,
        digest: Option<Digest>,
    ) -> Result<Self, Failure> {
        let layout = Layout::open(path).map_err(failed)?;
        let entry = layout.choose(name, digest).map_err(chosen)?;
        let export = export(&layout, &entry).map_err(failed)?;
        Ok(Self {
            referrers: referrers(&layout, &entry, &export)?,
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
        let exports: Vec<_> = std::iter::once(self.export).chain(self.referrers).collect();
        Layout::write(path, &exports, Others::Keep).map_err(failed)?;
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

/// A layout's words, with how one of several images is chosen.
fn chosen(error: LayoutError) -> Failure {
    let several = matches!(error, LayoutError::Choice { .. });
    let failure = failed(error);
    match several {
        true => failure.with_hint("name one of them, as oci:DIR:TAG or oci:DIR@DIGEST"),
        false => failure,
    }
}

/// The manifests of a layout whose subject is the image, one below it, or another referrer.
fn referrers(layout: &Layout, entry: &Descriptor, image: &Export) -> Result<Vec<Export>, Failure> {
    let documents = image.images().iter().map(|image| image.descriptor().digest);
    let mut subjects: BTreeSet<Digest> = documents.chain([entry.digest]).collect();
    let mut candidates = layout.index().map_err(failed)?.manifests;
    candidates.retain(|entry| {
        entry.artifact_type.is_some() && media_type::is_manifest(&entry.media_type)
    });
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for candidate in std::mem::take(&mut candidates) {
            let bytes = layout.read(&candidate).map_err(failed)?;
            let subject = Manifest::parse(&bytes).map_err(failed)?.subject;
            if subject.is_some_and(|subject| subjects.contains(&subject.digest)) {
                subjects.insert(candidate.digest);
                found.push(Export::new(Content::Image(
                    layout.image(&candidate).map_err(failed)?,
                )));
            } else {
                candidates.push(candidate);
            }
        }
        if found.len() == before {
            return Ok(found);
        }
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
