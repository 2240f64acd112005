//! The files of a stage: always known as layers, as a tree when a step asks, on disk when a RUN does.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use yadokari_layer::{Contents, LayerReader, Limits};
use yadokari_rootfs::{Root, Snapshot};
use yadokari_tree::{Changes, Node, Tree};

use crate::blocking::blocking;
use crate::copy::copy_digesting;
use crate::error::BuildError;
use crate::layers::Layer;
use crate::work::Work;

/// What a stage holds at some point of its steps.
///
/// Tree and disk may lag behind the layers: they catch up when somebody needs them, which for a
/// stage that only receives files, or comes from the cache, is never.
#[derive(Debug)]
pub(crate) struct StageFiles {
    layers: Vec<Layer>,
    tree: Tree,
    /// How many of the layers the tree holds.
    known: usize,
    disk: Option<Disk>,
    /// The stage this one starts from, whose disk can be taken over or copied.
    parent: Option<Arc<Mutex<Self>>>,
    /// Where a root is made when one is needed.
    directory: PathBuf,
}

/// A root filesystem on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) root: Arc<Root>,
    tree: Tree,
    /// How many of the layers it holds.
    layers: usize,
    /// What a scan last saw, while it is still true.
    snapshot: Option<Snapshot>,
}

impl StageFiles {
    /// Files that are the given layers, nothing of which has been looked at.
    pub(crate) fn new(layers: Vec<Layer>, directory: PathBuf) -> Self {
        Self {
            layers,
            tree: Tree::empty(),
            known: 0,
            disk: None,
            parent: None,
            directory,
        }
    }

    /// Files that start as those of another stage are.
    pub(crate) async fn on_top_of(parent: &Arc<Mutex<Self>>, directory: PathBuf) -> Self {
        let files = parent.lock().await;
        Self {
            layers: files.layers.clone(),
            tree: files.tree.clone(),
            known: files.known,
            disk: None,
            parent: Some(Arc::clone(parent)),
            directory,
        }
    }

    /// The layers, lowest first.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Adds a layer whose content nobody has looked at.
    pub(crate) fn push(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// The tree of all layers, read from their archives if need be.
    pub(crate) async fn tree(&mut self, work: &Work) -> Result<Tree, BuildError> {
        while self.known < self.layers.len() {
            let blob = work.blob(&self.layers[self.known]).await?;
            let tree = self.tree.clone();
            let limits = work.limits();
            self.tree = blocking(move || read_tree(&blob, tree, limits)).await?;
            self.known += 1;
        }
        Ok(self.tree.clone())
    }

    /// Adds a layer that a step made on top of the present tree, and brings the disk along if it is up to date.
    ///
    /// The disk follows the changes themselves rather than the layer's archive, which holds less:
    /// no nanoseconds, no `user.*` attributes.
    pub(crate) async fn push_changes(
        &mut self,
        layer: Layer,
        changes: Arc<Changes>,
        after: Tree,
        contents: Arc<dyn Contents + Send + Sync>,
    ) -> Result<(), BuildError> {
        if let Some(disk) = &mut self.disk
            && disk.layers == self.layers.len()
        {
            let root = Arc::clone(&disk.root);
            blocking(move || yadokari_rootfs::apply(&root, &changes, &*contents)).await?;
            disk.tree = after.clone();
            disk.snapshot = None;
            disk.layers += 1;
        }
        self.layers.push(layer);
        self.tree = after;
        self.known = self.layers.len();
        Ok(())
    }

    /// Adds a layer that a RUN left on disk, with what a scan saw there if one was made.
    pub(crate) fn push_on_disk(&mut self, layer: Layer, after: Tree, snapshot: Option<Snapshot>) {
        self.layers.push(layer);
        self.tree = after;
        self.known = self.layers.len();
        if let Some(disk) = &mut self.disk {
            disk.tree = self.tree.clone();
            disk.layers = self.layers.len();
            disk.snapshot = snapshot;
        }
    }

    /// The root filesystem with all layers, unpacked if need be, and its tree.
    pub(crate) async fn root(&mut self, work: &Work) -> Result<(Arc<Root>, Tree), BuildError> {
        if self.disk.is_none() {
            let disk = self.first_disk(work).await?;
            self.disk = Some(disk);
        }
        while let Some(disk) = &self.disk
            && disk.layers < self.layers.len()
        {
            let blob = work.blob(&self.layers[disk.layers]).await?;
            let (root, tree) = (Arc::clone(&disk.root), disk.tree.clone());
            let limits = work.limits();
            let tree = blocking(move || unpack(&blob, &root, tree, limits)).await?;
            if let Some(disk) = &mut self.disk {
                disk.tree = tree;
                disk.snapshot = None;
                disk.layers += 1;
            }
        }
        let disk = self.disk.as_ref().expect("it was made above");
        self.tree = disk.tree.clone();
        self.known = disk.layers;
        Ok((Arc::clone(&disk.root), disk.tree.clone()))
    }

    /// What is on disk now, ready to be compared with what a RUN leaves.
    pub(crate) async fn take_snapshot(&mut self, work: &Work) -> Result<Snapshot, BuildError> {
        let (root, tree) = self.root(work).await?;
        let known = self.disk.as_mut().and_then(|disk| disk.snapshot.take());
        match known {
            Some(snapshot) => Ok(snapshot),
            None => {
                let options = work.scan_options();
                Ok(blocking(move || Snapshot::take(&root, &tree, &options)).await?)
            }
        }
    }

    /// An empty root, or the parent's: taken over if nobody else will read it, copied otherwise.
    async fn first_disk(&self, work: &Work) -> Result<Disk, BuildError> {
        if let Some(parent) = &self.parent {
            let mut files = parent.lock().await;
            if let Some(disk) = files.disk.as_ref()
                && disk.layers <= self.layers.len()
            {
                let sole = work.is_sole_reader(&files.directory);
                return match files.disk.take_if(|_| sole) {
                    Some(taken) => Ok(taken),
                    None => {
                        let disk = files.disk.as_ref().expect("it was there a moment ago");
                        self.copied_disk(disk).await
                    }
                };
            }
        }
        let directory = self.directory.clone();
        let root = blocking(move || Root::create(directory))
            .await
            .map_err(|source| BuildError::disk(&self.directory, source))?;
        Ok(Disk {
            root: Arc::new(root),
            tree: Tree::empty(),
            layers: 0,
            snapshot: None,
        })
    }

    async fn copied_disk(&self, disk: &Disk) -> Result<Disk, BuildError> {
        let (from, tree, directory) = (
            Arc::clone(&disk.root),
            disk.tree.clone(),
            self.directory.clone(),
        );
        let layers = disk.layers;
        blocking(move || {
            let root =
                Root::create(&directory).map_err(|source| BuildError::disk(&directory, source))?;
            yadokari_rootfs::copy_root(&from, &tree, &root)?;
            Ok(Disk {
                root: Arc::new(root),
                tree,
                layers,
                snapshot: None,
            })
        })
        .await
    }
}

/// Reads a layer for its tree alone.
///
/// Contents are digested as they pass: a later step that writes the same file again has to be told
/// from one that changes it.
fn read_tree(blob: &yadokari_store::Blob, tree: Tree, limits: Limits) -> Result<Tree, BuildError> {
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
    archive.finish()?;
    Ok(tree)
}

fn unpack(
    blob: &yadokari_store::Blob,
    root: &Root,
    mut tree: Tree,
    limits: Limits,
) -> Result<Tree, BuildError> {
    let file = blob
        .open()
        .map_err(|source| BuildError::disk(&blob.path, source))?;
    let mut archive = LayerReader::new(file, limits)?;
    yadokari_rootfs::unpack(root, &mut tree, &mut archive)?;
    archive.finish()?;
    Ok(tree)
}
