//! The way of blobs and manifests into a repository.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use yadokari_image::{Descriptor, Digest, Index, Manifest, Reference, Repository, media_type};
use yadokari_registry::{Accept, Client, Mount, RawManifest, RegistryError, Source};
use yadokari_store::{Export, ImageBlobs, ReceiveError, Spool};

use super::held::Held;
use super::{Ground, failed, refused};
use crate::report::Failure;

/// How many blobs move at the same time.
const CONCURRENT: usize = 4;

/// Pushes an image that is here: blobs, then the manifests of its platforms. Its name is not written yet.
pub(super) async fn push_contents(
    ground: &Ground<'_>,
    held: &Held,
    repository: &Repository,
) -> Result<(), Failure> {
    let (top, _) = held.top();
    for image in held.export.images() {
        push_blobs(ground, held, image, repository).await?;
        if image.manifest() != top {
            push_manifest(ground, image, repository).await?;
        }
    }
    Ok(())
}

/// Pushes what refers to an image, after the image itself.
pub(super) async fn push_referrers(
    ground: &Ground<'_>,
    held: &Held,
    repository: &Repository,
) -> Result<(), Failure> {
    for image in held.referrers.iter().flat_map(Export::images) {
        push_blobs(ground, held, image, repository).await?;
        push_manifest(ground, image, repository).await?;
    }
    Ok(())
}

async fn push_blobs(
    ground: &Ground<'_>,
    held: &Held,
    image: &ImageBlobs,
    repository: &Repository,
) -> Result<(), Failure> {
    let layers = image.layers().iter().map(|layer| layer.descriptor());
    let wanted = layers.filter(|layer| !media_type::is_foreign(&layer.media_type));
    let transfers = wanted.map(|layer| async {
        let file = held.file(layer)?;
        push_blob(&ground.client, repository, layer, &file).await
    });
    each(transfers).await?;
    let config = bytes::Bytes::copy_from_slice(image.config());
    push_blob(
        &ground.client,
        repository,
        image.config_descriptor(),
        &config,
    )
    .await
}

async fn push_manifest(
    ground: &Ground<'_>,
    image: &ImageBlobs,
    repository: &Repository,
) -> Result<(), Failure> {
    let name = repository.with_digest(image.descriptor().digest);
    let bytes = image.manifest().to_vec();
    let put = ground
        .client
        .put_manifest(&name, bytes, &image.descriptor().media_type);
    put.await.map(drop).map_err(refused)
}

async fn each(
    transfers: impl Iterator<Item = impl Future<Output = Result<(), Failure>>>,
) -> Result<(), Failure> {
    stream::iter(transfers.collect::<Vec<_>>())
        .buffer_unordered(CONCURRENT)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn push_blob(
    client: &Client,
    repository: &Repository,
    blob: &Descriptor,
    source: &dyn Source,
) -> Result<(), Failure> {
    if client
        .blob_exists(repository, blob.digest)
        .await
        .map_err(refused)?
    {
        return Ok(());
    }
    let pushed = client.push_blob(repository, blob.digest, blob.size, source);
    pushed.await.map_err(refused)
}

/// Writes a name. A tag that may not change and is there already is success if the caller says so.
pub(super) async fn put_top(
    ground: &Ground<'_>,
    name: &Reference,
    (bytes, media_type): (Vec<u8>, String),
    ignore_immutable: bool,
) -> Result<Digest, Failure> {
    let digest = Digest::of(&bytes);
    match ground.client.put_manifest(name, bytes, &media_type).await {
        Ok(_) => ground.tell(&format!("pushed {name}@{digest}")),
        Err(error) if ignore_immutable && error.is_immutable_tag() => {
            ground.warn(&format!("{name} exists already and may not be changed"));
        }
        Err(error) => return Err(refused(error)),
    }
    Ok(digest)
}

/// Reads what a name stands for.
pub(super) async fn read(ground: &Ground<'_>, name: &Reference) -> Result<RawManifest, Failure> {
    let found = ground.client.manifest(name, Accept::ManifestOrIndex).await;
    found.map_err(refused)
}

/// The same; nothing where there is no such document.
pub(super) async fn read_if_there(
    ground: &Ground<'_>,
    name: &Reference,
) -> Result<Option<RawManifest>, Failure> {
    match ground.client.manifest(name, Accept::ManifestOrIndex).await {
        Ok(document) => Ok(Some(document)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// Brings everything a document names from its repository into another one, documents below it included.
pub(super) async fn copy_contents(
    ground: &Ground<'_>,
    from: &Reference,
    document: &RawManifest,
    to: &Repository,
) -> Result<(), Failure> {
    if from.name() == to {
        return Ok(());
    }
    if !media_type::is_index(&document.media_type) {
        return copy_blobs(ground, from.name(), document, to).await;
    }
    let index = Index::parse(&document.bytes).map_err(failed)?;
    for entry in &index.manifests {
        let below = read(ground, &from.with_digest(entry.digest)).await?;
        // Indexes do not nest in practice, and a manifest is as deep as this goes.
        copy_blobs(ground, from.name(), &below, to).await?;
        put_below(ground, to, &below).await?;
    }
    Ok(())
}

/// Writes a document under its digest.
pub(super) async fn put_below(
    ground: &Ground<'_>,
    to: &Repository,
    document: &RawManifest,
) -> Result<(), Failure> {
    let name = to.with_digest(document.digest);
    let put = ground
        .client
        .put_manifest(&name, document.bytes.clone(), &document.media_type);
    put.await.map(drop).map_err(refused)
}

async fn copy_blobs(
    ground: &Ground<'_>,
    from: &Repository,
    document: &RawManifest,
    to: &Repository,
) -> Result<(), Failure> {
    let manifest = Manifest::parse(&document.bytes).map_err(failed)?;
    let layers = manifest.layers().iter();
    let blobs = layers
        .chain([&manifest.config])
        .filter(|blob| !media_type::is_foreign(&blob.media_type));
    each(blobs.map(|blob| copy_blob(ground, from, blob, to))).await
}

/// Mounts a blob, or sends it through this machine.
async fn copy_blob(
    ground: &Ground<'_>,
    from: &Repository,
    blob: &Descriptor,
    to: &Repository,
) -> Result<(), Failure> {
    let client = &ground.client;
    if client.blob_exists(to, blob.digest).await.map_err(refused)? {
        return Ok(());
    }
    let session = match client
        .mount_blob(to, blob.digest, from)
        .await
        .map_err(refused)?
    {
        Mount::Mounted => return Ok(()),
        Mount::Declined(session) => session,
    };
    let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
    let here = receive(client, &spool, from, blob).await?;
    let pushed = client.continue_upload(session, blob.digest, blob.size, &here.path);
    pushed.await.map_err(refused)?;
    spool.remove(&blob.digest).map_err(failed)
}

/// Downloads a blob, checked.
pub(super) async fn receive(
    client: &Client,
    spool: &Spool,
    from: &Repository,
    blob: &Descriptor,
) -> Result<yadokari_store::Blob, Failure> {
    let received = spool.receive_with(blob, || client.blob(from, blob)).await;
    received.map_err(|error: ReceiveError<RegistryError>| match error {
        ReceiveError::Open(error) => refused(error),
        other => Failure::new(&other),
    })
}
