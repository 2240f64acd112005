//! An image as its blobs, with layers that are opened when they are needed.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use yadokari_image::{
    Descriptor, Digest, DocumentError, ImageConfig, Manifest, Platform, media_type,
};

use crate::spool::Blob;

type Open = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

/// A layer: what the manifest says of it, and a way to its bytes.
#[derive(Clone)]
pub struct LayerBlob {
    descriptor: Descriptor,
    open: Arc<Open>,
}

impl LayerBlob {
    /// A layer whose bytes `open` gives, from the start, each time it is called.
    pub fn new<F>(descriptor: Descriptor, open: F) -> Self
    where
        F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    {
        let open = Arc::new(open);
        Self { descriptor, open }
    }

    /// A layer that lies in a file.
    #[must_use]
    pub fn from_blob(descriptor: Descriptor, blob: Blob) -> Self {
        Self::new(descriptor, move || Ok(Box::new(blob.open()?)))
    }

    /// What the manifest says of the layer.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Opens the layer's bytes as they are stored, that is: compressed.
    ///
    /// # Errors
    ///
    /// Whatever the source says.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        (self.open)()
    }
}

impl fmt::Debug for LayerBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayerBlob")
            .field(&self.descriptor.digest)
            .finish()
    }
}

/// One manifest with everything it refers to.
#[derive(Debug, Clone)]
pub struct ImageBlobs {
    descriptor: Box<Descriptor>,
    manifest: Vec<u8>,
    artifact_type: Option<String>,
    config_descriptor: Box<Descriptor>,
    config: Vec<u8>,
    layers: Vec<LayerBlob>,
}

/// Why manifest, config and layers are not one image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidImage {
    /// The manifest cannot be read as one.
    #[error(transparent)]
    Manifest(#[from] DocumentError),
    /// The manifest speaks of another config.
    #[error("the manifest names the config {named}, which has the digest {found}")]
    Config {
        /// The digest in the manifest.
        named: Digest,
        /// The digest of the config.
        found: Digest,
    },
    /// The manifest speaks of other layers, or of the same in another order.
    #[error("the manifest names the layers {named:?}, which are {found:?}")]
    Layers {
        /// The digests in the manifest.
        named: Vec<Digest>,
        /// The digests of the layers.
        found: Vec<Digest>,
    },
}

impl ImageBlobs {
    /// Puts an image together.
    ///
    /// The bytes of manifest and config are kept as they are. Layers are not opened.
    ///
    /// # Errors
    ///
    /// If the manifest does not name exactly this config and these layers.
    pub fn new(
        manifest: Vec<u8>,
        config: Vec<u8>,
        layers: Vec<LayerBlob>,
    ) -> Result<Self, InvalidImage> {
        let parsed = Manifest::parse(&manifest)?;
        check_config(&parsed, &config)?;
        check_layers(&parsed, &layers)?;
        let artifact_type = artifact_type(&parsed);
        let media_type = parsed
            .media_type
            .as_deref()
            .unwrap_or(media_type::OCI_MANIFEST);
        Ok(Self {
            descriptor: Box::new(Descriptor::of(media_type, &manifest)),
            manifest,
            artifact_type,
            config_descriptor: Box::new(parsed.config),
            config,
            layers,
        })
    }

    /// Media type, digest and size of the manifest.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The manifest's bytes.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// What the manifest says of the config.
    #[must_use]
    pub fn config_descriptor(&self) -> &Descriptor {
        &self.config_descriptor
    }

    /// The config's bytes.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The layers, lowest first.
    #[must_use]
    pub fn layers(&self) -> &[LayerBlob] {
        &self.layers
    }

    /// What kind of artifact this is, as an index lists it. None for a container image that belongs to no other manifest.
    #[must_use]
    pub fn artifact_type(&self) -> Option<String> {
        self.artifact_type.clone()
    }

    /// The platform the config names, as an index lists it: without the version and features of the
    /// operating system. None for what is not a container image.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let config: ImageConfig = serde_json::from_slice(&self.config).ok()?;
        if config.os.is_empty() || config.architecture.is_empty() {
            return None;
        }
        Some(Platform {
            variant: config.variant,
            ..Platform::new(config.os, config.architecture)
        })
    }
}

fn artifact_type(manifest: &Manifest) -> Option<String> {
    let of_config = || {
        let belongs = manifest.subject.is_some();
        belongs.then(|| manifest.config.media_type.clone())
    };
    manifest.artifact_type.clone().or_else(of_config)
}

fn check_config(manifest: &Manifest, config: &[u8]) -> Result<(), InvalidImage> {
    let named = manifest.config.digest;
    let found = Digest::of(config);
    if named == found && manifest.config.size == config.len() as u64 {
        return Ok(());
    }
    Err(InvalidImage::Config { named, found })
}

fn check_layers(manifest: &Manifest, layers: &[LayerBlob]) -> Result<(), InvalidImage> {
    let key = |descriptor: &Descriptor| (descriptor.digest, descriptor.size);
    let named: Vec<_> = manifest.layers().iter().map(key).collect();
    let found: Vec<_> = layers.iter().map(|layer| key(&layer.descriptor)).collect();
    if named == found {
        return Ok(());
    }
    Err(InvalidImage::Layers {
        named: named.into_iter().map(|(digest, _)| digest).collect(),
        found: found.into_iter().map(|(digest, _)| digest).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{image, layer};

    #[test]
    fn a_manifest_must_name_its_config_and_layers() {
        let good = image(&[b"one", b"two"]);
        let again = |config: &[u8], layers: Vec<LayerBlob>| {
            ImageBlobs::new(good.manifest.clone(), config.to_vec(), layers)
        };
        again(&good.config, good.layers.clone()).unwrap();
        let error = again(b"{}", good.layers.clone()).unwrap_err();
        assert!(matches!(error, InvalidImage::Config { .. }));
        for layers in [
            vec![],
            vec![layer(b"two"), layer(b"one")],
            vec![layer(b"one")],
        ] {
            let error = again(&good.config, layers).unwrap_err();
            assert!(matches!(error, InvalidImage::Layers { .. }));
        }
    }

    #[test]
    fn the_platform_comes_from_the_config() {
        let platform = image(&[]).platform().unwrap();
        assert_eq!(
            (platform.os.as_str(), platform.architecture.as_str()),
            ("linux", "amd64")
        );
    }
}
