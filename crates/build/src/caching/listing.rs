//! What files a base image and the cached layers on it hold, kept in the cache: a build that only copies onto them then
//! need not download them.
//!
//! The list is a record like any other. Its layer holds one file, a snapshot without a disk, and its key is made of
//! the layers that are listed. A cache that has none, or one that cannot be read, costs a download.

use std::io;
use std::sync::Arc;

use yadokari_cache::Record;
use yadokari_image::{DiffId, Platform};
use yadokari_layer::LayerReader;
use yadokari_plan::Key;
use yadokari_rootfs::Snapshot;
use yadokari_tree::{Metadata, Name, Node, Tree, TreePath, diff};

use crate::blocking::blocking;
use crate::caching::lookup::{Caches, Hit};
use crate::caching::record::chain;
use crate::copy::{Origin, Origins};
use crate::error::BuildError;
use crate::outputs::assemble::ImageLayer;
use crate::request::NoCache;
use crate::stage::layers::{Layer, Place};
use crate::stage::pack::{self, Label, Sources};
use crate::time::format;
use crate::work::Work;

/// The files of these layers as a cache lists them.
pub(crate) async fn find(work: &Work, layers: &[Layer]) -> Option<Tree> {
    let caches = caches(work).filter(|_| !layers.is_empty())?;
    let key = key(layers).await.ok()?;
    let hit = caches.lookup(key, work.services.clock.now()).await?;
    match read(work, &hit).await {
        Ok(tree) => Some(tree),
        Err(error) => {
            work.notice(&format!(
                "layers are downloaded: the cache's list of their files cannot be read: {}",
                chain(&error)
            ));
            None
        }
    }
}

/// Lists the files of these layers in the cache, while the build goes on.
pub(crate) async fn keep(work: &Work, layers: &[Layer], tree: &Tree) {
    let Some(caches) = caches(work).filter(|_| work.request.cache.push) else {
        return;
    };
    if tree.len() > MOST_FILES {
        return;
    }
    let (layers, listed) = (layers.to_vec(), tree.clone());
    let bytes = blocking(move || written(&listed)).await;
    let created = format(work.services.clock.now());
    // A list that cannot be made is missed by nobody.
    let Ok(layer) = layer_of(work, bytes, &created).await else {
        return;
    };
    let transfers = Arc::clone(&work.transfers);
    work.in_background(async move {
        let (Ok(key), Ok(finished)) = (key(&layers).await, layer.finished().await) else {
            return;
        };
        if let Place::Spool(blob) = &finished.place {
            let instruction = format!("files of {} layers", layers.len());
            let record = record(&finished.listed, created, instruction);
            caches.keep(&transfers, key, &record, blob).await;
        }
    });
}

/// The caches, if this build believes what they hold.
fn caches(work: &Work) -> Option<Caches> {
    let believed = work.request.cache.no_cache != NoCache::All;
    work.cache.clone().filter(|_| believed)
}

pub(crate) async fn key(layers: &[Layer]) -> Result<Key, BuildError> {
    let mut listed: Vec<DiffId> = Vec::new();
    for layer in layers {
        listed.push(layer.finished().await?.listed.diff_id);
    }
    Ok(yadokari_plan::key_of_listing(&listed))
}

async fn read(work: &Work, hit: &Hit) -> Result<Tree, BuildError> {
    let record = &hit.record;
    let listed = ImageLayer {
        descriptor: record.layer.clone(),
        diff_id: record.diff_id,
        created: None,
        description: String::new(),
    };
    let blob = work
        .blob(&Layer::existing(listed, hit.place.clone()))
        .await?;
    let limits = work.limits();
    blocking(move || {
        let failed = |source| BuildError::disk(&blob.path, source);
        let mut archive = LayerReader::new(blob.open().map_err(failed)?, limits)?;
        match archive.next_entry()? {
            Some((_, content)) => Ok(Snapshot::read(content).map_err(failed)?.tree().clone()),
            None => Err(failed(io::ErrorKind::UnexpectedEof.into())),
        }
    })
    .await
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    Snapshot::without_disk(tree.clone())
        .write(&mut bytes)
        .expect("memory takes all bytes");
    bytes
}

/// A layer with one file.
async fn layer_of(work: &Work, bytes: Vec<u8>, created: &str) -> Result<Layer, BuildError> {
    let name = Name::new(FILE).expect("it is a plain name");
    let mut tree = Tree::empty();
    let file = Node::file(Metadata::new(0o644), bytes.len() as u64);
    tree.insert(&TreePath::root().join(FILE), file)
        .expect("its directory is the root");
    let mut origins = Origins::default();
    origins.insert(&TreePath::root(), name, Origin::Bytes(Arc::new(bytes)));
    let label = Label {
        created: created.to_owned(),
        description: String::new(),
        rewritten: None,
    };
    let changes = Arc::new(diff(&Tree::empty(), &tree));
    pack::start(work, changes, Arc::new(origins), Sources::Settled, label).await
}

fn record(listed: &ImageLayer, created: String, instruction: String) -> Record {
    Record {
        layer: listed.descriptor.clone(),
        diff_id: listed.diff_id,
        created,
        instruction,
        // A list has no platform of its own, and a record has to name one.
        platform: Platform::new("linux", "amd64"),
        parent: None,
        restated: None,
    }
}

/// The file of the layer.
const FILE: &str = "files";

/// A longer list is not kept: writing it would cost more memory than a build may take.
const MOST_FILES: usize = 200_000;
