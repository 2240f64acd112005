//! Results on disk: archives, layouts, files, and the names and digests of what was built.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::Serialize;
use yadokari_layer::{TarOptions, write_tar};
use yadokari_store::{
    Content, Export, Flavour, ImageBlobs, LayerBlob, Layout, Others, append_line, write_archive,
    write_archive_file, write_atomically,
};
use yadokari_tree::{Tree, diff};

use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::layers::Layer;
use crate::publish::{Finished, Top};
use crate::request::{BuildRequest, FileOutput, FileOutputKind};
use crate::services::Services;
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
            let export = export(request, services, output, images, top).await?;
            let (kind, path) = (output.kind, output.path.clone());
            blocking(move || write_image(kind, &path, export)).await?;
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
        return out.flush().map_err(|source| BuildError::disk(path, source));
    }
    write_archive_file(&[export], flavour, path)?;
    Ok(())
}

async fn export(
    request: &BuildRequest,
    services: &Services,
    output: &FileOutput,
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
    export.created = Some(
        match images
            .first()
            .and_then(|image| image.work.request.times.epoch.or(image.work.plan.epoch))
        {
            Some(epoch) => rfc3339(epoch, 0),
            None => format(services.clock.now()),
        },
    );
    export.names = names(request, output)?;
    export.annotations.clone_from(&output.annotations);
    Ok(export)
}

/// The names an archive carries: its own, and those of the destinations.
fn names(
    request: &BuildRequest,
    output: &FileOutput,
) -> Result<Vec<yadokari_image::Reference>, BuildError> {
    let mut names = Vec::new();
    for name in &output.names {
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

/// Writes the root filesystem itself.
async fn write_root(output: &FileOutput, images: &[Finished]) -> Result<(), BuildError> {
    for image in images {
        let (root, tree) = image.files.lock().await.root(&image.work).await?;
        let path = match images {
            [_] => output.path.clone(),
            _ => output
                .path
                .join(image.assembled.platform.to_string().replace('/', "_")),
        };
        let kind = output.kind;
        blocking(move || match kind {
            FileOutputKind::Tar => archive_root(&path, &tree, &root),
            _ => copy_root(&path, &tree, &root),
        })
        .await?;
    }
    Ok(())
}

fn archive_root(path: &Path, tree: &Tree, root: &yadokari_rootfs::Root) -> Result<(), BuildError> {
    let changes = diff(&Tree::empty(), tree);
    let options = TarOptions::default();
    if path == Path::new("-") {
        return Ok(write_tar(
            &changes,
            root,
            &options,
            &mut std::io::stdout().lock(),
        )?);
    }
    let file = File::create(path).map_err(|source| BuildError::disk(path, source))?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    write_tar(&changes, root, &options, &mut out)?;
    out.flush().map_err(|source| BuildError::disk(path, source))
}

fn copy_root(path: &Path, tree: &Tree, root: &yadokari_rootfs::Root) -> Result<(), BuildError> {
    std::fs::create_dir_all(path).map_err(|source| BuildError::disk(path, source))?;
    let target =
        yadokari_rootfs::Root::open(path).map_err(|source| BuildError::disk(path, source))?;
    yadokari_rootfs::apply(&target, &diff(&Tree::empty(), tree), root)?;
    Ok(())
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
            .map(|name| line(&name.clone().with_default_tag()) + "\n")
            .collect::<String>()
    };
    if let Some(path) = &outputs.name_with_digest_file {
        write_atomically(
            path,
            lines(&|name| format!("{}@{digest}", repository(name))).as_bytes(),
        )?;
    }
    if let Some(path) = &outputs.name_tag_with_digest_file {
        let line = |name: &yadokari_image::Reference| {
            format!(
                "{}:{}@{digest}",
                repository(name),
                name.tag().unwrap_or_default()
            )
        };
        write_atomically(path, lines(&line).as_bytes())?;
    }
    if let Some(directory) = &outputs.builder_output {
        std::fs::create_dir_all(directory).map_err(|source| BuildError::disk(directory, source))?;
        for name in outputs.destinations.iter().filter(|_| outputs.push) {
            let line = BuilderOutput {
                name: name.clone().with_default_tag().to_string(),
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
        return Ok(write_atomically(Path::new(place), digest.as_bytes())?);
    }
    let answer = services
        .http
        .put(place)
        .body(digest.to_owned())
        .send()
        .await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    match answer {
        Ok(_) => Ok(()),
        Err(error) => {
            let error = error.without_url();
            Err(
                BuildErrorKind::Refused(format!("the digest cannot be sent to its URL: {error}"))
                    .into(),
            )
        }
    }
}
