//! The archives of layers: fetched, and read for their tree or onto a disk.

use std::io;

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use yadokari_image::DiffId;
use yadokari_layer::{LayerReader, Limits};
use yadokari_rootfs::Root;
use yadokari_tree::{Node, Tree};

use crate::copy::copy_digesting;
use crate::error::BuildError;
use crate::stage::layers::Layer;
use crate::work::Work;

/// Layers in order, each as soon as it is here.
pub(super) type Blobs = UnboundedReceiver<Result<yadokari_store::Blob, BuildError>>;

/// Fetches layers, several at a time, while those that are here are worked on. The future has to be polled for any to
/// come; it ends when all are here, or nobody wants them any more.
pub(super) fn downloads<'w>(
    work: &'w Work,
    layers: &[Layer],
) -> (impl Future<Output = ()> + use<'w>, Blobs) {
    let (sender, blobs) = unbounded_channel();
    let layers = layers.to_vec();
    let download = async move {
        let fetch = |layer: Layer| async move { work.blob(&layer).await };
        let mut fetched = stream::iter(layers).map(fetch).buffered(AHEAD);
        while let Some(blob) = fetched.next().await {
            if sender.send(blob).is_err() {
                return;
            }
        }
    };
    (download, blobs)
}

/// How many layers are fetched at the same time.
const AHEAD: usize = 4;

/// Reads a layer for its tree alone.
///
/// Contents are digested as they pass: a later step that writes the same file again has to be told
/// from one that changes it.
pub(super) fn read_tree(
    blob: &yadokari_store::Blob,
    tree: Tree,
    limits: Limits,
) -> Result<(Tree, DiffId), BuildError> {
    let file = blob
        .open()
        .map_err(|source| BuildError::disk(&blob.path, source))?;
    let mut archive = LayerReader::new(file, limits)?;
    let lower = tree.clone();
    let mut tree = tree;
    while let Some((entry, content)) = archive.next_entry()? {
        let applied = tree.apply_over(&lower, &entry)?;
        if let Some(file) = applied.node.as_ref().and_then(Node::content) {
            let digest = copy_digesting(content, &mut io::sink())
                .map_err(|source| BuildError::disk(&blob.path, source))?;
            file.set_digest(digest);
        }
    }
    let found = archive.finish()?;
    Ok((tree, found))
}

pub(super) fn unpack(
    blob: &yadokari_store::Blob,
    root: &Root,
    mut tree: Tree,
    limits: Limits,
) -> Result<(Tree, DiffId), BuildError> {
    let file = blob
        .open()
        .map_err(|source| BuildError::disk(&blob.path, source))?;
    let mut archive = LayerReader::new(file, limits)?;
    yadokari_rootfs::unpack(root, &mut tree, &mut archive)?;
    let found = archive.finish()?;
    Ok((tree, found))
}
