//! Small images for the tests of this crate.

use serde_json::json;
use yadokari_image::{Descriptor, Digest, Reference, media_type};

use crate::entries::{Content, Export};
use crate::image_blobs::{ImageBlobs, LayerBlob};

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::of(media_type::OCI_LAYER_GZIP, bytes)
}

pub(crate) fn layer(bytes: &[u8]) -> LayerBlob {
    let content = bytes.to_vec();
    LayerBlob::new(descriptor(bytes), move || {
        Ok(Box::new(std::io::Cursor::new(content.clone())))
    })
}

pub(crate) fn image(layers: &[&[u8]]) -> ImageBlobs {
    let diff_ids: Vec<_> = layers
        .iter()
        .map(|bytes| Digest::of(bytes).to_string())
        .collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    let described: Vec<_> = layers.iter().map(|bytes| descriptor(bytes)).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config),
        "layers": described,
    });
    let layers = layers.iter().map(|bytes| layer(bytes)).collect();
    ImageBlobs::new(manifest.to_string().into_bytes(), config, layers).unwrap()
}

pub(crate) fn export(layers: &[&[u8]], names: &[&str]) -> Export {
    let mut export = Export::new(Content::Image(image(layers)));
    export.names = names
        .iter()
        .map(|name| Reference::parse(name).unwrap())
        .collect();
    export.created = Some("2020-01-01T00:00:00Z".to_owned());
    export
}
