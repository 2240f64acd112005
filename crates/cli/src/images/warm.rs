//! `warm`: base images are fetched ahead into a directory that builds look into, as kaniko's warmer does.

use std::collections::BTreeMap;
use std::path::Path;

use yadokari_image::{Platform, Reference};
use yadokari_plan::{ImageRequest, ImageSource, Images, Progress, Request, ResolvedImage};
use yadokari_store::{Content, Export, ImageBlobs, LayerBlob, Layout, Others, Spool};

use super::{Ground, failed, platform, reference, refused, transfer, unsaid};
use crate::flags;
use crate::flags::go::Switch;
use crate::flags::images::Warm;
use crate::report::Failure;

pub(super) async fn run(warm: &Warm, ground: &Ground<'_>) -> Result<String, Failure> {
    let platform = platform(
        ground.environment.typed(flags::PLATFORM),
        warm.custom_platform.as_deref(),
    )?;
    let mut images = Vec::new();
    for text in &warm.image {
        images.push((
            reference("image", text)?.with_default_tag(),
            platform.clone(),
        ));
    }
    if let Some(path) = &warm.dockerfile {
        let path = ground.environment.directory.join(path);
        images.extend(of_dockerfile(warm, &path, &platform, ground).await?);
    }
    if images.is_empty() {
        return Err(unsaid(
            "which images to fetch",
            "name them with --image, or a Dockerfile that does with --dockerfile",
        ));
    }
    let cache = ground.environment.directory.join(&warm.cache_dir);
    for (name, platform) in &images {
        fetch(warm, ground, &cache, name, platform).await?;
    }
    Ok(String::new())
}

/// Fetches one image, without the layers that are there.
async fn fetch(
    warm: &Warm,
    ground: &Ground<'_>,
    cache: &Path,
    name: &Reference,
    platform: &Platform,
) -> Result<(), Failure> {
    let image = ground.client.resolve_image(name, platform).await;
    let image = image.map_err(refused)?;
    let known = Layout::open(cache).ok();
    let spool = Spool::open(ground.scratch.path().join("blobs")).map_err(failed)?;
    let mut layers = Vec::new();
    let mut fetched = 0;
    for layer in image.manifest.layers() {
        let here = known.as_ref().filter(|_| warm.force != Some(Switch(true)));
        let blob = match here.and_then(|layout| layout.blob(layer).ok()) {
            Some(blob) => blob,
            None => {
                fetched += layer.size;
                transfer::receive(&ground.client, &spool, name.name(), layer).await?
            }
        };
        layers.push(LayerBlob::from_blob(layer.clone(), blob));
    }
    let (manifest, config) = (image.manifest_bytes.to_vec(), image.config_bytes.to_vec());
    let blobs = ImageBlobs::new(manifest, config, layers).map_err(failed)?;
    let mut export = Export::new(Content::Image(blobs));
    export.names.push(name.clone());
    Layout::write(cache, &[export], Others::Keep).map_err(failed)?;
    ground.tell(&format!(
        "{name}@{} is in {} ({fetched} bytes of layers fetched)",
        image.digest,
        cache.display()
    ));
    Ok(())
}

/// Every image that a Dockerfile names, with the platform it is wanted for.
async fn of_dockerfile(
    warm: &Warm,
    path: &Path,
    platform: &Platform,
    ground: &Ground<'_>,
) -> Result<Vec<(Reference, Platform)>, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::told(format!("cannot read {}: {error}", path.display())))?;
    let parsed = yadokari_dockerfile::parse(&bytes).map_err(failed)?;
    let request = request(warm, platform, ground);
    let mut known = Images::new();
    loop {
        let progress = yadokari_plan::plan(&parsed.dockerfile, &request, &known).map_err(failed)?;
        let missing = match progress {
            Progress::Ready(_) => break,
            Progress::NeedsImages(missing) => missing,
        };
        for wanted in missing {
            let image = resolve(&wanted, ground).await?;
            known.insert(wanted.key, image);
        }
    }
    let named = known.into_keys().filter_map(|key| match key.source {
        ImageSource::Registry(name) => Some((name, key.platform)),
        ImageSource::Layout(_) => None,
    });
    Ok(named.collect())
}

async fn resolve(wanted: &ImageRequest, ground: &Ground<'_>) -> Result<ResolvedImage, Failure> {
    let ImageSource::Registry(name) = &wanted.key.source else {
        return Err(Failure::told(format!("{} is in no registry", wanted.word)));
    };
    let image = ground
        .client
        .resolve_image(name, &wanted.key.platform)
        .await;
    let image = image.map_err(refused)?;
    Ok(ResolvedImage {
        manifest: image.digest,
        config_digest: image.manifest.config.digest,
        config: image.config,
    })
}

/// What is planned: the whole file, since nothing says which stage will be built.
fn request(warm: &Warm, platform: &Platform, ground: &Ground<'_>) -> Request {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), ground.environment.variable(text)?.to_owned())),
    };
    Request {
        targets: Vec::new(),
        build_args: warm.build_arg.iter().filter_map(pair).collect(),
        labels: BTreeMap::new(),
        platform: Some(platform.clone()),
        host: Platform::host(),
        named: BTreeMap::new(),
        allow: Vec::new(),
        hostname: None,
        all_stages: true,
        kaniko: false,
        ignore: None,
    }
}
