//! The last line of every test that ends in an image: is it a sound one?

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use yadokari_image::{Descriptor, DiffId, Digest};

use crate::digest::{self, Hashing};
use crate::endpoint::Endpoint;
use crate::layout::{Image, Layout, text};

/// Checks the only image of a layout: digests, sizes, media types, diff ids, history, and that layers are tar.
///
/// Digests are computed here from the stored bytes; the rules are the product's own `validate`.
///
/// # Errors
///
/// The first rule that is broken.
pub fn layout(directory: &Path) -> Result<Image> {
    let layout = Layout::open(directory)?;
    let image = layout.image()?;
    check(&layout, &image).with_context(|| format!("the image in {}", directory.display()))?;
    Ok(image)
}

/// Downloads an image from a registry and checks it as [`layout`] does.
///
/// # Errors
///
/// If it cannot be downloaded, or the first rule that is broken.
pub fn pushed(endpoint: &Endpoint, repository: &str, reference: &str) -> Result<Image> {
    let scratch = tempfile::tempdir()?;
    let layout = endpoint.pull(repository, reference, scratch.path())?;
    let image = layout.image()?;
    check(&layout, &image).with_context(|| format!("the image {repository}:{reference}"))?;
    Ok(image)
}

fn check(layout: &Layout, image: &Image) -> Result<()> {
    let manifest_layers = image.manifest["layers"]
        .as_array()
        .context("a manifest without layers")?;
    let layers: Vec<_> = manifest_layers
        .iter()
        .map(|layer| found(layout, layer))
        .collect::<Result<_>>()?;
    Ok(yadokari_image::validate(
        &image.manifest_bytes,
        &image.config_bytes,
        layers,
    )?)
}

/// A layer as its bytes show it.
fn found(layout: &Layout, layer: &Value) -> Result<(Descriptor, DiffId)> {
    let (name, media_type) = (text(&layer["digest"])?, text(&layer["mediaType"])?);
    let mut file =
        std::fs::File::open(layout.blob_path(name)).with_context(|| format!("no blob {name}"))?;
    let (digest, size) = digest::of_reader(&mut file)?;
    let diff_id = read_tar(layout, name).with_context(|| format!("layer {name}"))?;
    let diff_id = DiffId::from_digest(diff_id.parse()?);
    Ok((
        Descriptor::new(media_type, digest.parse::<Digest>()?, size),
        diff_id,
    ))
}

/// Reads a layer as tar to its very end and returns the digest of the archive.
fn read_tar(layout: &Layout, name: &str) -> Result<String> {
    let mut tee = Tee {
        reader: layout.open_layer(name)?,
        hash: Hashing::new(std::io::sink()),
    };
    for member in tar::Archive::new(&mut tee).entries()? {
        std::io::copy(&mut member?, &mut std::io::sink())?;
    }
    std::io::copy(&mut tee, &mut std::io::sink())?;
    Ok(tee.hash.finish().1)
}

/// A reader whose bytes are hashed as they are read.
struct Tee {
    reader: Box<dyn Read>,
    hash: Hashing<std::io::Sink>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        std::io::Write::write_all(&mut self.hash, &buffer[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busybox_base_is_sound_and_a_damaged_copy_is_not() {
        let base = crate::base::busybox().unwrap();
        let image = layout(base.directory()).unwrap();

        let copy = tempfile::tempdir().unwrap();
        let damaged = Layout::create(copy.path()).unwrap();
        damaged.set_manifest(&image.descriptor).unwrap();
        let config = image.manifest["config"]["digest"]
            .as_str()
            .unwrap()
            .to_string();
        for digest in image.layers().into_iter().chain([config, image.digest()]) {
            std::fs::copy(base.blob_path(&digest), damaged.blob_path(&digest)).unwrap();
        }
        assert!(layout(copy.path()).is_ok());
        let layer = damaged.blob_path(&image.layers()[0]);
        std::fs::write(&layer, [0; 1024]).unwrap();
        assert!(layout(copy.path()).is_err());
    }
}
