//! Publishing: blobs first, manifests last, tags after everything they need.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Index, Reference, Repository, json};
use yadokari_registry::Mount;

use crate::assemble::Assembled;
use crate::drive::Built;
use crate::error::BuildError;
use crate::events::Event;
use crate::files::StageFiles;
use crate::layers::{FinishedLayer, Layer, Place};
use crate::output;
use crate::request::BuildRequest;
use crate::services::Services;
use crate::work::{Work, short};

/// The image of one platform, ready to be published.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) assembled: Assembled,
    pub(crate) layers: Vec<Arc<FinishedLayer>>,
    pub(crate) files: Arc<Mutex<StageFiles>>,
    pub(crate) work: Arc<Work>,
}

/// What a tag will stand for: a manifest, or an index of several.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptor: Descriptor,
    /// Whether it is an index.
    pub(crate) is_index: bool,
}

/// How many blobs move at the same time.
pub(crate) const CONCURRENT: usize = 4;

/// Asks every destination whether it may be pushed to, before anything is built.
pub(crate) async fn refuse_unpushable(
    request: &BuildRequest,
    services: &Services,
) -> Result<(), BuildError> {
    if !request.outputs.push || request.outputs.skip_push_check {
        return Ok(());
    }
    let repositories = repositories(request);
    try_join_all(
        repositories
            .iter()
            .map(|repository| services.registry.check_push(repository)),
    )
    .await?;
    Ok(())
}

/// The repositories of the destinations, each once.
fn repositories(request: &BuildRequest) -> BTreeSet<Repository> {
    request
        .outputs
        .destinations
        .iter()
        .map(|destination| destination.name().clone())
        .collect()
}

/// Publishes images to all destinations, writes results on disk, and says where everything is.
pub(crate) async fn publish(
    request: &BuildRequest,
    services: &Services,
    images: Vec<Finished>,
) -> Result<Built, BuildError> {
    let top = top(&images);
    let mut places = output::write_files(request, services, &images, &top).await?;
    if request.outputs.push {
        let repositories = repositories(request);
        try_join_all(
            repositories
                .iter()
                .map(|repository| push_contents(repository, &images, &top)),
        )
        .await?;
        for destination in &request.outputs.destinations {
            let destination = destination.clone().with_default_tag();
            put_tag(request, services, &destination, &top).await?;
            places.push(destination.to_string());
        }
    }
    for place in &places {
        services.events.on(Event::Published {
            place,
            digest: top.descriptor.digest,
        });
    }
    output::write_names(request, services, &top).await?;
    let config = images.first().map_or(top.descriptor.digest, |image| {
        Digest::of(&image.assembled.config)
    });
    Ok(Built {
        digest: top.descriptor.digest,
        config,
        places,
    })
}

fn top(images: &[Finished]) -> Top {
    if let [image] = images {
        let Assembled {
            manifest,
            descriptor,
            ..
        } = &image.assembled;
        return Top {
            bytes: manifest.clone(),
            descriptor: descriptor.clone(),
            is_index: false,
        };
    }
    let entries = images
        .iter()
        .map(|image| image.assembled.descriptor.clone())
        .collect();
    let bytes = json::indented(&Index::new(Family::Oci, entries));
    Top {
        descriptor: Descriptor::of(Family::Oci.index(), &bytes),
        bytes,
        is_index: true,
    }
}

/// Brings everything that the manifests name into a repository, and the manifests of an index.
async fn push_contents(
    repository: &Repository,
    images: &[Finished],
    top: &Top,
) -> Result<(), BuildError> {
    for image in images {
        let transfers = image
            .layers
            .iter()
            .map(|layer| push_layer(&image.work, repository, layer));
        stream::iter(transfers.collect::<Vec<_>>())
            .buffer_unordered(CONCURRENT)
            .try_collect::<Vec<()>>()
            .await?;
        let registry = &image.work.services.registry;
        let config = Descriptor::of(Family::Oci.config(), &image.assembled.config);
        let bytes = Bytes::from(image.assembled.config.clone());
        if !registry.blob_exists(repository, config.digest).await? {
            registry
                .push_blob(repository, config.digest, config.size, &bytes)
                .await?;
        }
        if top.is_index {
            let manifest = &image.assembled;
            let reference = repository.with_digest(manifest.descriptor.digest);
            registry
                .put_manifest(
                    &reference,
                    manifest.manifest.clone(),
                    &manifest.descriptor.media_type,
                )
                .await?;
        }
    }
    Ok(())
}

/// Pushes a layer before the image is finished, so that little is left to do at the end.
///
/// What fails here is tried again, and reported, when the image is published.
pub(crate) async fn push_early(work: &Work, layer: &Arc<FinishedLayer>) {
    for repository in repositories(&work.request) {
        let permit = work.uploads.acquire().await;
        if let Err(error) = push_layer(work, &repository, layer).await {
            tracing::debug!(%error, "pushing a layer before the image is finished");
        }
        drop(permit);
    }
}

/// Makes sure that a repository has a layer: it may be there, or in another repository of the registry, or here.
async fn push_layer(
    work: &Work,
    repository: &Repository,
    layer: &Arc<FinishedLayer>,
) -> Result<(), BuildError> {
    let registry = &work.services.registry;
    let descriptor = &layer.listed.descriptor;
    if registry.blob_exists(repository, descriptor.digest).await? {
        return Ok(());
    }
    let mut session = None;
    for from in mount_sources(work, layer, repository) {
        match registry
            .mount_blob(repository, descriptor.digest, &from)
            .await?
        {
            Mount::Mounted => return Ok(()),
            Mount::Declined(declined) => {
                if let Some(earlier) = session.replace(declined) {
                    registry.cancel_upload(earlier).await;
                }
            }
        }
    }
    let blob = work
        .blob(&Layer::existing(layer.listed.clone(), layer.place.clone()))
        .await?;
    let label = format!(
        "pushing {} {}",
        repository_name(repository),
        short(descriptor)
    );
    let transfer = crate::work::Transfer::start(work, label, descriptor.size);
    let source = transfer.source(blob.path.clone());
    match session {
        Some(session) => {
            registry
                .continue_upload(session, descriptor.digest, descriptor.size, &source)
                .await?;
        }
        None => {
            registry
                .push_blob(repository, descriptor.digest, descriptor.size, &source)
                .await?;
        }
    }
    Ok(())
}

fn repository_name(repository: &Repository) -> String {
    format!("{}/{}", repository.registry(), repository.path())
}

/// Repositories of the same registry that are known to have a layer.
fn mount_sources(work: &Work, layer: &FinishedLayer, repository: &Repository) -> Vec<Repository> {
    let mut found = Vec::new();
    if let Place::Registry(reference) = &layer.place {
        found.push(reference.name().clone());
    }
    if let Some(cache) = work.cache.as_ref().and_then(|cache| cache.repository())
        && matches!(layer.place, Place::Spool(_))
        && work.request.cache.push
    {
        found.push(cache.clone());
    }
    found.retain(|from| from.registry() == repository.registry() && from != repository);
    found.dedup();
    found
}

async fn put_tag(
    request: &BuildRequest,
    services: &Services,
    destination: &Reference,
    top: &Top,
) -> Result<(), BuildError> {
    let put = services
        .registry
        .put_manifest(destination, top.bytes.clone(), &top.descriptor.media_type)
        .await;
    match put {
        Ok(_) => Ok(()),
        Err(error) if request.outputs.ignore_immutable_tags && error.is_immutable_tag() => {
            services.events.on(Event::Notice(&format!(
                "{destination} exists already and may not be changed"
            )));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
