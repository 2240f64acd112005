//! Images that a Dockerfile names: resolved before anything runs, downloaded only when needed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use yadokari_dockerfile::{Dockerfile, suggest};
use yadokari_image::media_type::Family;
use yadokari_image::{
    Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, media_type,
};
use yadokari_plan::{
    ImageKey, ImageRequest, ImageSource, Images, Plan, Progress, Request, ResolvedImage,
};
use yadokari_registry::RegistryError;
use yadokari_store::{Layout, LayoutName};

use crate::error::{BuildError, BuildErrorKind};
use crate::outputs::assemble::ImageLayer;
use crate::services::Services;
use crate::stage::layers::{Layer, Place};

/// A plan, and the images it was made with.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) plan: Plan,
    pub(crate) images: BTreeMap<ImageKey, SourceImage>,
}

/// An image whose manifest is known.
#[derive(Debug, Clone)]
pub(crate) struct SourceImage {
    manifest: Manifest,
    config: ImageConfig,
    digest: Digest,
    place: Place,
    /// How history rows call it that stand for its layers.
    name: String,
}

/// Plans, resolving images until the planner has all it asks for. All images of one round are asked for at once.
pub(crate) async fn resolve(
    dockerfile: &Dockerfile,
    request: &Request,
    services: &Services,
) -> Result<Resolved, BuildError> {
    let mut images = BTreeMap::new();
    let mut known = Images::new();
    loop {
        let missing = match yadokari_plan::plan(dockerfile, request, &known)? {
            Progress::Ready(plan) => {
                return Ok(Resolved {
                    plan: *plan,
                    images,
                });
            }
            Progress::NeedsImages(missing) => missing,
        };
        let found = missing
            .iter()
            .map(|wanted| find(wanted, dockerfile, services));
        let found = try_join_all(found).await?;
        for (wanted, image) in missing.iter().zip(found) {
            known.insert(wanted.key.clone(), image.for_planner());
            images.insert(wanted.key.clone(), image);
        }
    }
}

async fn find(
    wanted: &ImageRequest,
    dockerfile: &Dockerfile,
    services: &Services,
) -> Result<SourceImage, BuildError> {
    let found = match &wanted.key.source {
        ImageSource::Registry(reference) => {
            from_registry(wanted, reference, dockerfile, services).await
        }
        ImageSource::Layout(text) => from_layout(text, &wanted.key.platform),
    };
    found.map_err(|error| error.at(wanted.span))
}

async fn from_registry(
    wanted: &ImageRequest,
    reference: &Reference,
    dockerfile: &Dockerfile,
    services: &Services,
) -> Result<SourceImage, BuildError> {
    let resolved = services
        .registry
        .resolve_image(reference, &wanted.key.platform)
        .await;
    let image = match resolved {
        Ok(image) => image,
        Err(source) => {
            let tags = similar_tags(reference, &source, services).await;
            return Err(BuildErrorKind::Resolve {
                word: wanted.word.clone(),
                reference: reference.to_string(),
                suggestion: similar(&wanted.word, dockerfile, source.is_not_found())
                    .filter(|_| tags.is_empty()),
                source: Box::new(source),
                tags,
            }
            .into());
        }
    };
    Ok(SourceImage {
        manifest: image.manifest,
        config: image.config,
        digest: image.digest,
        place: Place::Registry(reference.clone()),
        name: reference
            .with_digest(image.index.unwrap_or(image.digest))
            .to_string(),
    })
}

/// Images that a misspelt name may well mean.
const WELL_KNOWN: [&str; 12] = [
    "alpine", "busybox", "centos", "debian", "fedora", "golang", "nginx", "node", "python", "rust",
    "scratch", "ubuntu",
];

/// The nearest name of a stage, or of a well-known image where it is known that there is none of the name given.
fn similar(word: &str, dockerfile: &Dockerfile, is_missing: bool) -> Option<String> {
    let stages = dockerfile.stages.iter();
    let stages = stages.filter_map(|stage| stage.name.as_deref());
    let (name, tag) = word
        .split_once(':')
        .map_or((word, ""), |(name, _)| (name, &word[name.len()..]));
    let images = WELL_KNOWN.iter().filter(|_| is_missing).copied();
    let nearest = suggest::nearest(name, stages.chain(images))?;
    Some(format!("{nearest}{tag}"))
}

/// So many tags are named.
const MOST_TAGS: usize = 5;
/// A registry that takes longer to list them is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The tags that a repository has instead of the one that is missing, the nearest first.
async fn similar_tags(
    reference: &Reference,
    error: &RegistryError,
    services: &Services,
) -> Vec<String> {
    let Some(wanted) = reference.tag().filter(|_| error.is_not_found()) else {
        return Vec::new();
    };
    let listed = services.registry.tags(reference.name());
    let Ok(Ok(mut tags)) = tokio::time::timeout(PATIENCE, listed).await else {
        return Vec::new();
    };
    tags.sort_by_cached_key(|tag| (suggest::distance(wanted, tag), tag.clone()));
    tags.truncate(MOST_TAGS);
    tags
}

/// Reads `PATH[:TAG][@DIGEST]`; without either the directory must hold one image. Of an index the platform's image is taken.
fn from_layout(text: &str, platform: &Platform) -> Result<SourceImage, BuildError> {
    let name = LayoutName::parse(text);
    let layout = Layout::open(&name.path)?;
    let chosen = layout.choose(name.tag.as_deref(), name.digest)?;
    let entry = of_platform(&layout, chosen, platform, text)?;
    let image = layout.image(&entry)?;
    let manifest = Manifest::parse(image.manifest()).map_err(yadokari_store::InvalidImage::from)?;
    let config = ImageConfig::parse(image.config()).map_err(yadokari_store::InvalidImage::from)?;
    Ok(SourceImage {
        manifest,
        config,
        digest: entry.digest,
        place: Place::Directory(name.path.into()),
        name: format!("oci-layout://{text}"),
    })
}

/// The entry itself, or the one for a platform if it is an index.
fn of_platform(
    layout: &Layout,
    entry: Descriptor,
    platform: &Platform,
    text: &str,
) -> Result<Descriptor, BuildError> {
    if !media_type::is_index(&entry.media_type) {
        return Ok(entry);
    }
    let bytes = layout.read(&entry)?;
    let index = Index::parse(&bytes).map_err(yadokari_store::InvalidImage::from)?;
    index.select(platform).cloned().ok_or_else(|| {
        let offered: Vec<_> = index.platforms().map(ToString::to_string).collect();
        let offered = offered.join(", ");
        BuildErrorKind::Refused(format!(
            "oci-layout://{text} has no image for {platform}; it has {offered}"
        ))
        .into()
    })
}

impl SourceImage {
    /// An image without layers that nobody has to fetch.
    #[cfg(test)]
    pub(crate) fn known(reference: &Reference, config: ImageConfig) -> Self {
        let bytes = config.to_bytes();
        let config_descriptor = Descriptor::of(Family::Oci.config(), &bytes);
        let manifest = Manifest::new(Family::Oci, config_descriptor, Vec::new());
        Self {
            digest: Digest::of(&yadokari_image::json::indented(&manifest)),
            manifest,
            config,
            place: Place::Registry(reference.clone()),
            name: reference.to_string(),
        }
    }

    pub(crate) fn for_planner(&self) -> ResolvedImage {
        ResolvedImage {
            manifest: self.digest,
            config_digest: self.manifest.config.digest,
            config: self.config.clone(),
        }
    }

    /// The layers, lowest first.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let diff_ids = self.config.rootfs.diff_ids.iter().flatten();
        let layers = self.manifest.layers().iter().zip(diff_ids);
        layers
            .map(|(descriptor, diff_id)| {
                Layer::existing(self.listed(descriptor, *diff_id), self.place.clone())
            })
            .collect()
    }

    fn listed(&self, descriptor: &Descriptor, diff_id: yadokari_image::DiffId) -> ImageLayer {
        ImageLayer {
            descriptor: descriptor.clone(),
            diff_id,
            created: None,
            description: format!("pulled from {}", self.name),
        }
    }

    /// Digest of its manifest.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The family of its media types.
    pub(crate) fn family(&self) -> Family {
        self.manifest.family()
    }

    /// Digests of its uncompressed layers, lowest first.
    pub(crate) fn diff_ids(&self) -> Vec<yadokari_image::DiffId> {
        self.config.rootfs.diff_ids.clone().unwrap_or_default()
    }

    /// How its containers start.
    pub(crate) fn container(&self) -> yadokari_image::ContainerConfig {
        self.config.config.clone()
    }

    /// Rows of its history.
    pub(crate) fn history(&self) -> Vec<yadokari_image::History> {
        self.config.history.clone().unwrap_or_default()
    }
}
