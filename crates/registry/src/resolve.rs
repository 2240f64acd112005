//! From an image name and a platform to one manifest and config.

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use yadokari_image::{
    Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, media_type,
};

use crate::client::{Client, failed};
use crate::endpoint::{Endpoint, Purpose};
use crate::{Accept, Cause, Operation, RawManifest, RegistryError};

/// The largest image config that is read, in bytes.
const CONFIG_LIMIT: u64 = 8 * 1024 * 1024;
/// How many indexes may lie between a name and a manifest.
const DEPTH: usize = 4;

/// One image of one platform, without its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedImage {
    /// The name that was asked for, with its tag completed.
    pub reference: Reference,
    /// The manifest, read.
    pub manifest: Manifest,
    /// The manifest's bytes.
    pub manifest_bytes: Bytes,
    /// The manifest's media type.
    pub media_type: String,
    /// The config, read.
    pub config: ImageConfig,
    /// The config's bytes.
    pub config_bytes: Bytes,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Digest of the index that the manifest was chosen from, if the name stands for one.
    pub index: Option<Digest>,
}

impl Client {
    /// Finds the image that `reference` names for `platform`, and reads its manifest and config.
    ///
    /// A name that stands for a single manifest gives that one, whatever its platform:
    /// compare [`ImageConfig::platform`] to warn.
    ///
    /// # Errors
    ///
    /// [`Cause::NoPlatform`] lists what is there; the others are those of [`Client::manifest`] and
    /// [`Client::blob`].
    pub async fn resolve_image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, RegistryError> {
        let reference = reference.clone().with_default_tag();
        let first = self.manifest(&reference, Accept::ManifestOrIndex).await?;
        let index = media_type::is_index(&first.media_type).then_some(first.digest);
        let chosen = self.choose(&reference, first, platform).await?;
        let at_fault = |cause| read_failed(&reference, cause);
        let manifest = parse_manifest(&chosen).map_err(at_fault)?;
        let config_bytes = self
            .small_blob(&reference, &manifest.config, CONFIG_LIMIT)
            .await?;
        let config = ImageConfig::parse(&config_bytes).map_err(|source| at_fault(source.into()))?;
        Ok(ResolvedImage {
            manifest,
            manifest_bytes: chosen.bytes,
            media_type: chosen.media_type,
            config,
            config_bytes,
            digest: chosen.digest,
            index,
            reference,
        })
    }

    /// Reads a whole blob that is known to be small, such as a config.
    ///
    /// # Errors
    ///
    /// [`Cause::TooLarge`] if the descriptor names more than `limit` bytes, else as [`Client::blob`].
    pub async fn small_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        if descriptor.size > limit {
            return Err(read_failed(reference, Cause::TooLarge { limit }));
        }
        let policy = self.inner.options.tries(Purpose::Pull);
        // Breaks are mended below; a copy with wrong bytes has to be read again from its start.
        policy
            .run_where(RegistryError::is_wrong_content, || {
                self.whole_blob(reference, descriptor)
            })
            .await
    }

    async fn whole_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
    ) -> Result<Bytes, RegistryError> {
        let mut reader = self.blob(reference.name(), descriptor).await?;
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes).await {
            Ok(_) => Ok(bytes.into()),
            Err(error) => Err(crate::blob::unwrap_error(error, reference, descriptor)),
        }
    }

    async fn choose(
        &self,
        reference: &Reference,
        mut document: RawManifest,
        platform: &Platform,
    ) -> Result<RawManifest, RegistryError> {
        let at_fault = |cause| read_failed(reference, cause);
        for _ in 0..DEPTH {
            if !media_type::is_index(&document.media_type) {
                return Ok(document);
            }
            let index = Index::parse(&document.bytes).map_err(|source| at_fault(source.into()))?;
            let entry = select(&index, platform).map_err(at_fault)?;
            let name = reference.with_digest(entry.digest);
            document = self.manifest(&name, Accept::ManifestOrIndex).await?;
            check_size(entry, &document).map_err(at_fault)?;
        }
        Err(at_fault(Cause::Protocol {
            what: "indexes are nested too deeply",
        }))
    }
}

fn select<'a>(index: &'a Index, platform: &Platform) -> Result<&'a Descriptor, Cause> {
    index.select(platform).ok_or_else(|| Cause::NoPlatform {
        wanted: Box::new(platform.clone()),
        offered: index.platforms().cloned().collect(),
    })
}

fn check_size(entry: &Descriptor, document: &RawManifest) -> Result<(), Cause> {
    let found = document.bytes.len() as u64;
    if entry.size == found {
        return Ok(());
    }
    Err(Cause::SizeMismatch {
        expected: entry.size,
        found,
    })
}

fn parse_manifest(document: &RawManifest) -> Result<Manifest, Cause> {
    let not_an_image = |media_type: &str| Cause::NotAnImage {
        media_type: media_type.to_owned(),
    };
    if !media_type::is_manifest(&document.media_type) {
        return Err(not_an_image(&document.media_type));
    }
    let manifest = Manifest::parse(&document.bytes)?;
    if !media_type::is_config(&manifest.config.media_type) {
        return Err(not_an_image(&manifest.config.media_type));
    }
    Ok(manifest)
}

fn read_failed(reference: &Reference, cause: Cause) -> RegistryError {
    let endpoint = Endpoint::new(reference.name(), Purpose::Pull);
    failed(
        &endpoint,
        Operation::PullManifest(reference.identifier()),
        cause,
    )
}
