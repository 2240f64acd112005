//! Results on disk: archives, layouts, files, and the names and digests of what was built.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use yadokari_store::{
    Content, Export, Flavour, ImageBlobs, LayerBlob, Layout, Others, append_line, write_archive,
    write_archive_file, write_atomically,
};

use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::outputs::files::write_root;
use crate::outputs::places::{OutputFailure, about};
use crate::outputs::publish::{Finished, Top};
use crate::request::{BuildRequest, FileOutputKind};
use crate::services::Services;
use crate::stage::layers::Layer;
use crate::time::{format, rfc3339};

/// Writes all results that are files, and says where they are.
pub(crate) async fn write_files(
    request: &BuildRequest,
    services: &Services,
    images: &[Finished],
    top: &Top,
) -> Result<Vec<String>, BuildError> {
    let mut places = Vec::new();
    for output in &request.outputs.files {
        if output.kind.wants_files() {
            write_root(output, images).await?;
        } else {
            let mut export = export(request, services, &output.names, images, top).await?;
            export.annotations.clone_from(&output.annotations);
            let (kind, path) = (output.kind, output.path.clone());
            blocking(move || write_image(kind, &path, export).map_err(|error| about(&path, error)))
                .await?;
        }
        places.push(output.path.display().to_string());
    }
    Ok(places)
}

fn write_image(kind: FileOutputKind, path: &Path, export: Export) -> Result<(), BuildError> {
    let flavour = match kind {
        FileOutputKind::OciDirectory => {
            Layout::write(path, &[export], Others::Forget)?;
            return Ok(());
        }
        FileOutputKind::DockerArchive => Flavour::Docker,
        _ => Flavour::Oci,
    };
    if path == Path::new("-") {
        let mut out = std::io::stdout().lock();
        write_archive(&[export], flavour, &mut out)?;
        return out
            .flush()
            .map_err(|source| OutputFailure::System(source).of(path));
    }
    write_archive_file(&[export], flavour, path)?;
    Ok(())
}

async fn export(
    request: &BuildRequest,
    services: &Services,
    own_names: &[String],
    images: &[Finished],
    top: &Top,
) -> Result<Export, BuildError> {
    let mut blobs = Vec::with_capacity(images.len());
    for image in images {
        blobs.push(image_blobs(image).await?);
    }
    let content = match (top.is_index, blobs.pop()) {
        (false, Some(image)) => Content::Image(image),
        (_, last) => {
            blobs.extend(last);
            Content::Index {
                bytes: top.bytes.clone(),
                media_type: top.descriptor.media_type.clone(),
                images: blobs,
            }
        }
    };
    let mut export = Export::new(content);
    export.names = names(request, own_names)?;
    export.created = Some(
        match images
            .first()
            .and_then(|image| image.work.request.times.epoch.or(image.work.plan.epoch))
        {
            Some(epoch) => rfc3339(epoch, 0),
            None => format(services.clock.now()),
        },
    );
    Ok(export)
}

/// The image as an engine takes it.
pub(crate) async fn export_to_engine(
    request: &BuildRequest,
    services: &Services,
    images: &[Finished],
    top: &Top,
) -> Result<Export, BuildError> {
    export(request, services, &[], images, top).await
}

/// The names an archive carries: its own, and those of the destinations.
fn names(
    request: &BuildRequest,
    own_names: &[String],
) -> Result<Vec<yadokari_image::Reference>, BuildError> {
    let mut names = Vec::new();
    for name in own_names {
        let reference = yadokari_image::Reference::parse(name).map_err(|error| {
            BuildErrorKind::Refused(format!("invalid image name {name:?}: {error}"))
        })?;
        names.push(reference.with_default_tag());
    }
    names.extend(
        request
            .outputs
            .destinations
            .iter()
            .map(|destination| destination.clone().with_default_tag()),
    );
    names.dedup();
    Ok(names)
}

async fn image_blobs(image: &Finished) -> Result<ImageBlobs, BuildError> {
    let mut layers = Vec::with_capacity(image.layers.len());
    let manifest = yadokari_image::Manifest::parse(&image.assembled.manifest)
        .map_err(yadokari_store::InvalidImage::from)?;
    for (layer, descriptor) in image.layers.iter().zip(manifest.layers()) {
        let blob = image
            .work
            .blob(&Layer::existing(layer.listed.clone(), layer.place.clone()))
            .await?;
        layers.push(LayerBlob::from_blob(descriptor.clone(), blob));
    }
    Ok(ImageBlobs::new(
        image.assembled.manifest.clone(),
        image.assembled.config.clone(),
        layers,
    )?)
}

/// Writes digests and names where the request wants them.
pub(crate) async fn write_names(
    request: &BuildRequest,
    services: &Services,
    top: &Top,
) -> Result<(), BuildError> {
    let outputs = &request.outputs;
    let digest = top.descriptor.digest.to_string();
    if let Some(place) = &outputs.digest_file {
        put_digest(place, &digest, services).await?;
    }
    let lines = |line: &dyn Fn(&yadokari_image::Reference) -> String| {
        outputs
            .destinations
            .iter()
            .map(|name| line(&tagged(request, name)) + "\n")
            .collect::<String>()
    };
    if let Some(path) = &outputs.name_with_digest_file {
        write_with_parents(
            path,
            &lines(&|name| format!("{}@{digest}", repository(name))),
        )?;
    }
    if let Some(path) = &outputs.name_tag_with_digest_file {
        let line = |name: &yadokari_image::Reference| match name.tag() {
            Some(tag) => format!("{}:{tag}@{digest}", repository(name)),
            None => format!("{}@{digest}", repository(name)),
        };
        write_with_parents(path, &lines(&line))?;
    }
    if let Some(directory) = &outputs.builder_output {
        std::fs::create_dir_all(directory).map_err(|source| BuildError::disk(directory, source))?;
        for name in outputs.destinations.iter().filter(|_| outputs.push) {
            let line = BuilderOutput {
                name: tagged(request, name).to_string(),
                digest: digest.clone(),
            };
            append_line(
                &directory.join("images"),
                &serde_json::to_string(&line).expect("two strings are JSON"),
            )?;
        }
    }
    Ok(())
}

/// A destination with its tag; what is pushed by its digest has none.
fn tagged(request: &BuildRequest, name: &yadokari_image::Reference) -> yadokari_image::Reference {
    match request.outputs.by_digest {
        true => name.clone(),
        false => name.clone().with_default_tag(),
    }
}

/// Writes a small file whose directory need not exist.
fn write_with_parents(path: &Path, text: &str) -> Result<(), BuildError> {
    if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
        std::fs::create_dir_all(parent).map_err(|source| BuildError::disk(parent, source))?;
    }
    Ok(write_atomically(path, text.as_bytes())?)
}

/// A line of `BUILDER_OUTPUT`.
#[derive(Debug, Serialize)]
struct BuilderOutput {
    name: String,
    digest: String,
}

fn repository(name: &yadokari_image::Reference) -> String {
    format!("{}/{}", name.registry(), name.repository())
}

/// Writes the digest to a file, or sends it to a URL.
async fn put_digest(place: &str, digest: &str, services: &Services) -> Result<(), BuildError> {
    if !place.starts_with("http://") && !place.starts_with("https://") {
        return write_with_parents(Path::new(place), digest);
    }
    let sent = services.http.put(place, digest).await;
    sent.map_err(|source| BuildErrorKind::SendDigest(source).into())
}
