//! The archives of layers: fetched, and read for their tree or onto a disk.

use std::io::{self, Read};

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use yadokari_image::DiffId;
use yadokari_layer::{LayerReader, Limits, ReadError};
use yadokari_rootfs::Root;
use yadokari_store::{Arrival, Blob};
use yadokari_tree::{Node, Tree};

use crate::copy::copy_digesting;
use crate::error::{BuildError, BuildErrorKind};
use crate::stage::layers::Layer;
use crate::work::Work;

/// Layers in order, each to be read as it comes.
pub(super) type Incoming = UnboundedReceiver<IncomingLayer>;

/// A layer whose archive is here, or on its way.
pub(super) struct IncomingLayer {
    pub(super) arrival: Arrival,
    brought: oneshot::Receiver<Result<Blob, BuildError>>,
}

impl IncomingLayer {
    /// Waits until the archive is here, and is the one that was asked for.
    pub(super) async fn brought(self) -> Result<Brought, BuildError> {
        let cancelled = |_| BuildErrorKind::Cancelled.into();
        let blob = self.brought.await.map_err(cancelled).flatten()?;
        Ok(match self.arrival.was_misled() {
            true => Brought::Again(blob),
            false => Brought::AsRead,
        })
    }
}

/// An archive that is here.
pub(super) enum Brought {
    /// What was read of it is right.
    AsRead,
    /// What was read was not it: a first copy had other bytes.
    Again(Blob),
}

/// Fetches layers, several at a time, while they are read. The future has to be polled for any to come; it ends when all
/// are here.
pub(super) fn downloads<'w>(
    work: &'w Work,
    layers: &[Layer],
) -> (impl Future<Output = ()> + use<'w>, Incoming) {
    let (sender, incoming) = unbounded_channel();
    let mut asked = Vec::new();
    for layer in layers {
        let (answer, brought) = oneshot::channel();
        let arrival = Arrival::default();
        let bringing = Bringing(arrival.clone());
        asked.push((layer.clone(), bringing, answer));
        // The other end is here still.
        let _ = sender.send(IncomingLayer { arrival, brought });
    }
    let download = stream::iter(asked).for_each_concurrent(
        AHEAD,
        move |(layer, bringing, answer)| async move {
            let brought = work.bring(&layer, &bringing.0).await;
            drop(bringing);
            // Nobody may want it any more.
            let _ = answer.send(brought);
        },
    );
    (download, incoming)
}

/// Whoever reads what is brought does not wait longer than it is.
struct Bringing(Arrival);

impl Drop for Bringing {
    fn drop(&mut self) {
        self.0.lose();
    }
}

/// How many layers are fetched at the same time.
const AHEAD: usize = 4;

/// Reads a layer for its tree alone.
///
/// Contents are digested as they pass: a later step that writes the same file again has to be told
/// from one that changes it.
pub(super) fn read_tree(
    archive: impl Read + Send + 'static,
    tree: Tree,
    limits: Limits,
) -> Result<(Tree, DiffId), BuildError> {
    let mut archive = LayerReader::new(archive, limits)?;
    let lower = tree.clone();
    let mut tree = tree;
    while let Some((entry, content)) = archive.next_entry()? {
        let applied = tree.apply_over(&lower, &entry)?;
        if let Some(file) = applied.node.as_ref().and_then(Node::content) {
            let digest = copy_digesting(content, &mut io::sink());
            file.set_digest(digest.map_err(ReadError::from_io)?);
        }
    }
    let found = archive.finish()?;
    Ok((tree, found))
}

/// Unpacks a layer on top of what `tree` says is in a root.
pub(super) fn unpack(
    archive: impl Read + Send + 'static,
    root: &Root,
    mut tree: Tree,
    limits: Limits,
) -> Result<(Tree, DiffId), BuildError> {
    let mut archive = LayerReader::new(archive, limits)?;
    yadokari_rootfs::unpack(root, &mut tree, &mut archive)?;
    let found = archive.finish()?;
    Ok((tree, found))
}
