//! Publishing: blobs first, manifests last, tags after everything they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{try_join, try_join_all};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Index, Reference, Repository, json, media_type};
use yadokari_registry::{Mount, UploadSession};

use crate::drive::Built;
use crate::error::{BuildError, BuildErrorKind};
use crate::events::Event;
use crate::outputs::assemble::Assembled;
use crate::outputs::disk;
use crate::outputs::engine::Engine;
use crate::request::{BuildRequest, MediaTypes};
use crate::services::Services;
use crate::stage::files::StageFiles;
use crate::stage::layers::{FinishedLayer, Layer, Place};
use crate::work::Work;

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

/// Asks every destination whether it may be pushed to, and the engine whether it is there, before anything is built.
pub(crate) async fn refuse_unpushable(
    request: &BuildRequest,
    services: &Services,
) -> Result<(), BuildError> {
    if request.outputs.load {
        engine(services)?.ping().await?;
    }
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

fn engine(services: &Services) -> Result<&Engine, BuildError> {
    let missing =
        || BuildErrorKind::Refused("there is no engine to load the image into".to_owned());
    Ok(services.engine.as_ref().ok_or_else(missing)?)
}

/// The repositories of the destinations, each once.
pub(crate) fn repositories(request: &BuildRequest) -> BTreeSet<Repository> {
    request
        .outputs
        .destinations
        .iter()
        .map(|destination| destination.name().clone())
        .collect()
}

/// The repositories of each registry.
fn by_registry(request: &BuildRequest) -> Vec<Vec<Repository>> {
    let mut registries: BTreeMap<String, Vec<Repository>> = BTreeMap::new();
    for repository in repositories(request) {
        let of_same = registries.entry(repository.registry().to_owned());
        of_same.or_default().push(repository);
    }
    registries.into_values().collect()
}

/// Publishes images to all destinations, writes results on disk, and says where everything is.
pub(crate) async fn publish(
    request: &BuildRequest,
    services: &Services,
    images: Vec<Finished>,
) -> Result<Built, BuildError> {
    let top = top(request, &images);
    let mut places = disk::write_files(request, services, &images, &top).await?;
    if request.outputs.load {
        let engine = engine(services)?;
        let export = disk::export_to_engine(request, services, &images, &top).await?;
        engine.load(export).await?;
        places.push(engine.name().to_owned());
    }
    if request.outputs.push {
        let registries = by_registry(request);
        let pushes = registries
            .iter()
            .map(|repositories| push_to_all(services, repositories, &images, &top));
        try_join_all(pushes).await?;
        for destination in &request.outputs.destinations {
            let destination = match request.outputs.by_digest {
                true => destination.name().with_digest(top.descriptor.digest),
                false => destination.clone().with_default_tag(),
            };
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
    disk::write_names(request, services, &top).await?;
    let config = match images.as_slice() {
        [image] => Some(Digest::of(&image.assembled.config)),
        _ => None,
    };
    Ok(Built {
        digest: top.descriptor.digest,
        config,
        descriptor: top.descriptor,
        places,
    })
}

fn top(request: &BuildRequest, images: &[Finished]) -> Top {
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
    let noted = |all: BTreeMap<_, _>| Some(all).filter(|all| !all.is_empty());
    let entry = |image: &Finished| Descriptor {
        annotations: noted(
            request
                .annotations
                .of_descriptor(Some(&image.work.plan.target_stage().platform)),
        ),
        ..image.assembled.descriptor.clone()
    };
    let family = match request.format.media_types {
        MediaTypes::Docker => Family::Docker,
        MediaTypes::Oci | MediaTypes::Inherit => Family::Oci,
    };
    let index = Index {
        annotations: noted(request.annotations.index.clone()),
        ..Index::new(family, images.iter().map(entry).collect())
    };
    let bytes = json::indented(&index);
    Top {
        descriptor: Descriptor::of(family.index(), &bytes),
        bytes,
        is_index: true,
    }
}

/// Brings an image into repositories of one registry, one by one: what the first has, the others can mount.
///
/// A repository that has the manifest has all that it names, so nothing more is asked about it.
async fn push_to_all(
    services: &Services,
    repositories: &[Repository],
    images: &[Finished],
    top: &Top,
) -> Result<(), BuildError> {
    for repository in repositories {
        let manifest = repository.with_digest(top.descriptor.digest);
        if !services.registry.has_manifest(&manifest).await? {
            push_contents(repository, images, top).await?;
        }
    }
    Ok(())
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
        let transfers = stream::iter(transfers.collect::<Vec<_>>())
            .buffer_unordered(CONCURRENT)
            .try_collect::<Vec<()>>();
        try_join(transfers, push_config(repository, image)).await?;
        if top.is_index {
            let registry = &image.work.services.registry;
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

async fn push_config(repository: &Repository, image: &Finished) -> Result<(), BuildError> {
    let registry = &image.work.services.registry;
    let config = Descriptor::of(Family::Oci.config(), &image.assembled.config);
    if registry.blob_exists(repository, config.digest).await? {
        return Ok(());
    }
    let bytes = Bytes::from(image.assembled.config.clone());
    registry
        .push_blob(repository, config.digest, config.size, &bytes)
        .await?;
    Ok(())
}

/// Makes sure that a repository has a layer: it may be there, or in another repository of the registry, or here.
pub(crate) async fn push_layer(
    work: &Work,
    repository: &Repository,
    layer: &Arc<FinishedLayer>,
) -> Result<(), BuildError> {
    let registry = &work.services.registry;
    let descriptor = &layer.listed.descriptor;
    if is_kept_elsewhere(descriptor) {
        return Ok(());
    }
    if work.is_placed(repository, descriptor.digest) {
        return Ok(());
    }
    let session = match mount(work, repository, layer).await? {
        Mounting::Mounted => {
            work.place(repository, descriptor.digest);
            return Ok(());
        }
        Mounting::Declined(session) => session,
    };
    if registry.blob_exists(repository, descriptor.digest).await? {
        if let Some(session) = session {
            registry.cancel_upload(session).await;
        }
        work.place(repository, descriptor.digest);
        return Ok(());
    }
    let blob = work
        .blob(&Layer::existing(layer.listed.clone(), layer.place.clone()))
        .await?;
    let source = work.transfers.push(repository, &blob);
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
    work.place(repository, descriptor.digest);
    Ok(())
}

/// How it went to mount a layer.
enum Mounting {
    Mounted,
    /// The layer has to be pushed, for which an upload may be open.
    Declined(Option<UploadSession>),
}

/// Mounts a layer from wherever in the registry it is known to be: one request, whether the destination has it or not.
async fn mount(
    work: &Work,
    repository: &Repository,
    layer: &FinishedLayer,
) -> Result<Mounting, BuildError> {
    let registry = &work.services.registry;
    let digest = layer.listed.descriptor.digest;
    let mut session = None;
    for from in mount_sources(work, layer, repository) {
        match registry.mount_blob(repository, digest, &from).await? {
            Mount::Mounted => return Ok(Mounting::Mounted),
            Mount::Declined(declined) => {
                if let Some(earlier) = session.replace(declined) {
                    registry.cancel_upload(earlier).await;
                }
            }
        }
    }
    Ok(Mounting::Declined(session))
}

/// Whether a layer may not be distributed, and is fetched from where its descriptor says.
fn is_kept_elsewhere(descriptor: &Descriptor) -> bool {
    let has_urls = descriptor
        .urls
        .as_ref()
        .is_some_and(|urls| !urls.is_empty());
    has_urls && media_type::is_foreign(&descriptor.media_type)
}

/// Repositories of the same registry that are known to have a layer.
fn mount_sources(work: &Work, layer: &FinishedLayer, repository: &Repository) -> Vec<Repository> {
    let mut found = Vec::new();
    if let Place::Registry(reference) = &layer.place {
        // A mirror may be of the registry that is pushed to.
        found.extend(work.services.registry.pull_places(reference.name()));
    }
    if let Some(cache) = work.cache.as_ref().and_then(|cache| cache.repository())
        && matches!(layer.place, Place::Spool(_))
        && work.request.cache.push
    {
        found.push(cache.clone());
    }
    let digest = layer.listed.descriptor.digest;
    found.extend(work.services.registry.holders(repository, digest));
    found.retain(|from| from.registry() == repository.registry() && from != repository);
    let mut seen = BTreeSet::new();
    found.retain(|from| seen.insert(from.clone()));
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
