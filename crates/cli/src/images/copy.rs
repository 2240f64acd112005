//! `copy`: an image goes from anywhere to anywhere, with all its platforms or one of them.

use yadokari_image::{Digest, Index, Manifest, Reference, media_type};
use yadokari_registry::RawManifest;
use yadokari_store::{Content, Export, ImageBlobs, LayerBlob, Spool};

use super::held::Held;
use super::place::Place;
use super::{Ground, failed, platform, push, referrers, refused, transfer};
use crate::amount::counted;
use crate::flags::go::Switch;
use crate::flags::images::Copy;
use crate::report::Failure;

pub(super) async fn run(copy: &Copy, ground: &Ground<'_>) -> Result<String, Failure> {
    let places = copy.to.iter().map(|text| Place::parse(text));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let with_referrers = copy.referrers != Some(Switch(false));
    let digest = match Place::parse(&copy.from)? {
        Place::Registry(from) => {
            let document = chosen(copy, ground, &from).await?;
            for to in &places {
                from_registry(ground, &from, &document, to, with_referrers).await?;
            }
            document.digest
        }
        from => {
            if copy.platform.is_some() {
                return Err(Failure::told("--platform chooses from registries only"));
            }
            let mut digest = None;
            for to in &places {
                let mut held = held(&from, ground)?;
                if !with_referrers {
                    held.referrers.clear();
                }
                digest = Some(from_disk(ground, held, to).await?);
            }
            digest.ok_or_else(|| Failure::told("no destination is given"))?
        }
    };
    Ok(format!("{digest}\n"))
}

/// What the name stands for, or the one manifest of it that is for a platform.
async fn chosen(
    copy: &Copy,
    ground: &Ground<'_>,
    from: &Reference,
) -> Result<RawManifest, Failure> {
    if copy.platform.is_none() {
        return transfer::read(ground, from).await;
    }
    let platform = platform("platform", copy.platform.as_deref())?;
    let image = ground.client.resolve_image(from, &platform).await;
    let name = from.with_digest(image.map_err(refused)?.digest);
    transfer::read(ground, &name).await
}

fn held(from: &Place, ground: &Ground<'_>) -> Result<Held, Failure> {
    match from {
        Place::Layout { path, name, digest } => Held::of_layout(
            &ground.environment.directory.join(path),
            name.as_deref(),
            *digest,
        ),
        Place::Archive { path, .. } => Held::open(path, ground),
        Place::Registry(name) => Err(Failure::told(format!("{name} is in a registry"))),
    }
}

fn tell_referrers(ground: &Ground<'_>, count: usize) {
    if count > 0 {
        let counted = counted(count, "manifest that refers", "manifests that refer");
        ground.tell(&format!("copied {counted} to it"));
    }
}

/// Downloads what refers to an image. What is listed and not there is left out.
async fn fetch_referrers(
    ground: &Ground<'_>,
    from: &Reference,
    document: &RawManifest,
) -> Result<Vec<Export>, Failure> {
    let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
    let mut exports = Vec::new();
    let subjects = referrers::documents(document)?;
    for entry in referrers::all(ground, from.name(), subjects).await? {
        let name = from.with_digest(entry.digest);
        let below = transfer::read_if_there(ground, &name).await?;
        let Some(below) = below.filter(|below| media_type::is_manifest(&below.media_type)) else {
            continue;
        };
        let image = image(ground, &spool, from, &below).await?;
        exports.push(Export::new(Content::Image(image)));
    }
    Ok(exports)
}

async fn from_registry(
    ground: &Ground<'_>,
    from: &Reference,
    document: &RawManifest,
    to: &Place,
    with_referrers: bool,
) -> Result<(), Failure> {
    if let Place::Registry(to) = to {
        transfer::copy_contents(ground, from, document, to.name()).await?;
        let top = (document.bytes.to_vec(), document.media_type.clone());
        transfer::put_top(ground, to, top, false).await?;
        if with_referrers {
            let count = referrers::copy(ground, from.name(), document, to.name()).await?;
            tell_referrers(ground, count);
        }
        return Ok(());
    }
    let mut held = fetch(ground, from, document).await?;
    if with_referrers && matches!(to, Place::Layout { .. }) {
        held.referrers = fetch_referrers(ground, from, document).await?;
        tell_referrers(ground, held.referrers.len());
    }
    from_disk(ground, held, to).await.map(drop)
}

async fn from_disk(ground: &Ground<'_>, held: Held, to: &Place) -> Result<Digest, Failure> {
    let digest = Digest::of(&held.top().0);
    let below = |path: &std::path::Path| ground.environment.directory.join(path);
    match to {
        Place::Registry(name) => push::send(&held, std::slice::from_ref(name), false, ground).await,
        Place::Layout { path, name, digest } => {
            if digest.is_some() {
                return Err(Failure::told(
                    "a digest follows from the image and cannot be chosen",
                ));
            }
            let digest = Digest::of(&held.top().0);
            held.write_layout(&below(path), name.as_deref())?;
            Ok(digest)
        }
        Place::Archive { path, flavour } => {
            held.write_archive(&below(path), *flavour, &[])?;
            Ok(digest)
        }
    }
}

/// Downloads an image with all that its document names.
pub(super) async fn fetch(
    ground: &Ground<'_>,
    from: &Reference,
    document: &RawManifest,
) -> Result<Held, Failure> {
    let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
    let mut export = if media_type::is_index(&document.media_type) {
        let index = Index::parse(&document.bytes).map_err(failed)?;
        let mut images = Vec::with_capacity(index.manifests.len());
        for entry in &index.manifests {
            let below = transfer::read(ground, &from.with_digest(entry.digest)).await?;
            images.push(image(ground, &spool, from, &below).await?);
        }
        Export::new(Content::Index {
            bytes: document.bytes.to_vec(),
            media_type: document.media_type.clone(),
            images,
        })
    } else {
        Export::new(Content::Image(image(ground, &spool, from, document).await?))
    };
    export
        .names
        .extend(from.tag().is_some().then(|| from.clone()));
    Ok(Held::spooled(export, spool))
}

async fn image(
    ground: &Ground<'_>,
    spool: &Spool,
    from: &Reference,
    document: &RawManifest,
) -> Result<ImageBlobs, Failure> {
    let manifest = Manifest::parse(&document.bytes).map_err(failed)?;
    let config = transfer::receive(&ground.client, spool, from.name(), &manifest.config).await?;
    let config = config.read().map_err(failed)?;
    let mut layers = Vec::new();
    for layer in manifest.layers() {
        let blob = transfer::receive(&ground.client, spool, from.name(), layer).await?;
        layers.push(LayerBlob::from_blob(layer.clone(), blob));
    }
    ImageBlobs::new(document.bytes.to_vec(), config, layers).map_err(failed)
}
