//! The files of a stage: always known as layers, as a tree when a step asks, on disk when a RUN does.

mod archives;

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::join;
use tokio::sync::Mutex;
use tracing::Instrument as _;
use yadokari_image::DiffId;
use yadokari_layer::Contents;
use yadokari_rootfs::{OverlayMarks, Root, Snapshot};
use yadokari_tree::{Changes, Tree};

use crate::bases::Base;
use crate::blocking::blocking;
use crate::caching::listing;
use crate::error::BuildError;
use crate::stage::layers::Layer;
use crate::stage::pack::Sources;
use crate::step::snapshots::overlay;
use crate::trace::work_span;
use crate::work::Work;
use archives::{Blobs, downloads, read_tree, unpack};

/// What a stage holds at some point of its steps.
///
/// Tree and disk may lag behind the layers: they catch up when somebody needs them, which for a
/// stage that only receives files, or comes from the cache, is never.
#[derive(Debug)]
pub(crate) struct StageFiles {
    layers: Vec<Layer>,
    /// How many of the layers are a base image's, which stages can share.
    shared: usize,
    tree: Tree,
    /// How many of the layers the tree holds.
    known: usize,
    disk: Option<Disk>,
    /// The stage this one starts from, whose disk can be taken over or copied.
    parent: Parent,
    /// Where a root is made when one is needed.
    directory: PathBuf,
    /// The layer that is being made from the files on disk as they are now.
    underway: Option<Layer>,
}

/// The files a stage starts from.
struct Parent(Option<Arc<Mutex<StageFiles>>>);

impl std::fmt::Debug for Parent {
    /// Without what is below: there can be thousands.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Parent(..)",
            None => "Parent(none)",
        })
    }
}

impl Drop for Parent {
    /// Ends what is below one after the other: a drop inside a drop takes stack for each stage.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(last) = next.and_then(Arc::into_inner) {
            next = last.into_inner().parent.0.take();
        }
    }
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
    /// The shared files that the root lies over, kept while it is used.
    base: Option<Arc<Base>>,
}

impl StageFiles {
    /// Files that are the given layers, nothing of which has been looked at.
    pub(crate) fn new(layers: Vec<Layer>, directory: PathBuf) -> Self {
        Self {
            layers,
            shared: 0,
            tree: Tree::empty(),
            known: 0,
            disk: None,
            parent: Parent(None),
            directory,
            underway: None,
        }
    }

    /// Files that start as an image's are, which other stages and builds may have unpacked.
    pub(crate) fn of_image(layers: Vec<Layer>, directory: PathBuf) -> Self {
        Self {
            shared: layers.len(),
            ..Self::new(layers, directory)
        }
    }

    /// Files that start as those of another stage are.
    pub(crate) async fn on_top_of(parent: &Arc<Mutex<Self>>, directory: PathBuf) -> Self {
        let files = parent.lock().await;
        Self {
            layers: files.layers.clone(),
            shared: files.shared,
            tree: files.tree.clone(),
            known: files.known,
            disk: None,
            parent: Parent(Some(Arc::clone(parent))),
            directory,
            underway: None,
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
        if self.known == 0 {
            self.recall(work).await?;
        }
        if self.known < self.layers.len() {
            let (downloads, blobs) = downloads(work, &self.layers[self.known..]);
            join(downloads, self.read_all(work, blobs)).await.1?;
            listing::keep(work, &self.layers, &self.tree).await;
        }
        Ok(self.tree.clone())
    }

    /// Takes over what is known of these layers, or of those that are a base image's. This machine is asked before a
    /// cache.
    async fn recall(&mut self, work: &Work) -> Result<(), BuildError> {
        let base = &self.layers[..self.shared];
        if base.len() < self.layers.len()
            && let Some(tree) = listing::find(work, &self.layers).await
        {
            (self.tree, self.known) = (tree, self.layers.len());
        } else if let Some(tree) = work.bases.tree(base).await? {
            (self.tree, self.known) = (tree, base.len());
        } else if let Some(tree) = listing::find(work, base).await {
            (self.tree, self.known) = (tree, base.len());
        }
        Ok(())
    }

    async fn read_all(&mut self, work: &Work, mut blobs: Blobs) -> Result<(), BuildError> {
        while let Some(blob) = blobs.recv().await {
            let (blob, tree) = (blob?, self.tree.clone());
            let limits = work.limits();
            let read = blocking(move || read_tree(&blob, tree, limits))
                .instrument(work_span!("list", "layer {}", self.known + 1))
                .await;
            self.tree = self.checked(work, self.known, read).await?;
            self.known += 1;
        }
        Ok(())
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
        if self.disk.is_some() {
            self.settle().await?;
        }
        if let Some(disk) = &mut self.disk
            && disk.layers == self.layers.len()
        {
            let root = Arc::clone(&disk.root);
            blocking(move || yadokari_rootfs::apply(&root, &changes, &*contents))
                .instrument(work_span!("write", "files"))
                .await?;
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
    pub(crate) fn push_on_disk(
        &mut self,
        layer: Layer,
        after: Tree,
        snapshot: Option<Snapshot>,
        sources: Sources,
    ) {
        self.underway = (sources == Sources::Settled).then(|| layer.clone());
        self.layers.push(layer);
        self.tree = after;
        self.known = self.layers.len();
        if let Some(disk) = &mut self.disk {
            disk.tree = self.tree.clone();
            disk.layers = self.layers.len();
            disk.snapshot = snapshot;
        }
    }

    /// Waits until nothing reads the files on disk any more, so that they can be changed.
    async fn settle(&mut self) -> Result<(), BuildError> {
        match self.underway.take() {
            Some(layer) => layer.finished().await.map(drop),
            None => Ok(()),
        }
    }

    /// The root filesystem with all layers, unpacked if need be, and its tree.
    pub(crate) async fn root(&mut self, work: &Work) -> Result<(Arc<Root>, Tree), BuildError> {
        self.settle().await?;
        let mut disk = match self.disk.take() {
            Some(disk) => disk,
            None => self.first_disk(work).await?,
        };
        let (downloads, blobs) = downloads(work, &self.layers[disk.layers..]);
        let unpacked = async {
            let _turn = match disk.layers < self.layers.len() {
                true => work.turns.unpack().await,
                false => None,
            };
            self.unpack_all(work, &mut disk, blobs).await
        };
        let (_, unpacked) = join(downloads, unpacked).await;
        self.disk = Some(disk);
        unpacked?;
        let disk = self.disk.as_ref().expect("it was made above");
        self.tree = disk.tree.clone();
        self.known = disk.layers;
        Ok((Arc::clone(&disk.root), disk.tree.clone()))
    }

    async fn unpack_all(
        &self,
        work: &Work,
        disk: &mut Disk,
        mut blobs: Blobs,
    ) -> Result<(), BuildError> {
        while let Some(blob) = blobs.recv().await {
            let (blob, root) = (blob?, Arc::clone(&disk.root));
            let (tree, limits) = (disk.tree.clone(), work.limits());
            let unpacked = blocking(move || unpack(&blob, &root, tree, limits))
                .instrument(work_span!("unpack", "layer {}", disk.layers + 1))
                .await;
            disk.tree = self.checked(work, disk.layers, unpacked).await?;
            disk.snapshot = None;
            disk.layers += 1;
        }
        Ok(())
    }

    /// The tree of all layers, with the directory its files are in if there is one already.
    ///
    /// Without one, the contents of the files are digested.
    pub(crate) async fn listed(
        &mut self,
        work: &Work,
    ) -> Result<(Tree, Option<Arc<Root>>), BuildError> {
        if self.disk.is_none() {
            return Ok((self.tree(work).await?, None));
        }
        let (root, tree) = self.root(work).await?;
        Ok((tree, Some(root)))
    }

    /// Makes sure that a layer that was read is what is said of it.
    async fn checked(
        &self,
        work: &Work,
        layer: usize,
        read: Result<(Tree, DiffId), BuildError>,
    ) -> Result<Tree, BuildError> {
        let layer = self.layers[layer].finished().await?;
        let (tree, found) = read.map_err(|error| work.at_fault(&layer.listed, error))?;
        work.check_unpacked(&layer.listed, found)?;
        Ok(tree)
    }

    /// What is on disk now, ready to be compared with what a RUN leaves.
    pub(crate) async fn take_snapshot(&mut self, work: &Work) -> Result<Snapshot, BuildError> {
        let (root, tree) = self.root(work).await?;
        let known = self.disk.as_mut().and_then(|disk| disk.snapshot.take());
        match known {
            Some(snapshot) => Ok(snapshot),
            None => {
                let options = work.scan_options();
                Ok(blocking(move || Snapshot::take(&root, &tree, &options))
                    .instrument(work_span!("scan", "before"))
                    .await?)
            }
        }
    }

    /// The parent's root if there is one, one over a shared base, or an empty one.
    async fn first_disk(&self, work: &Work) -> Result<Disk, BuildError> {
        let marks = overlay(work).await.ok().flatten();
        if let Some(disk) = self.parents_disk(work, marks).await? {
            return Ok(disk);
        }
        if let Some(marks) = marks.filter(|_| self.shared > 0) {
            let base = work.bases.base(work, &self.layers[..self.shared]).await?;
            let (root, tree) = (Arc::clone(&base.root), base.tree.clone());
            let mut disk = self.disk_over(root, tree, self.shared, marks).await?;
            disk.base = Some(base);
            return Ok(disk);
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
            base: None,
        })
    }

    /// The parent's root: taken over if nobody else will read it; one over it, or a copy of it, otherwise.
    async fn parents_disk(
        &self,
        work: &Work,
        marks: Option<OverlayMarks>,
    ) -> Result<Option<Disk>, BuildError> {
        let Some(parent) = &self.parent.0 else {
            return Ok(None);
        };
        let mut files = parent.lock().await;
        let disk = files.disk.as_ref();
        if disk.is_none_or(|disk| disk.layers > self.layers.len()) {
            return Ok(None);
        }
        let sole = work.is_sole_reader(&files.directory);
        if let Some(taken) = files.disk.take_if(|_| sole) {
            return Ok(Some(taken));
        }
        // Nothing may be added to it once another root lies over it.
        let (root, tree) = Box::pin(files.root(work)).await?;
        let disk = files.disk.as_ref().expect("its root was just given");
        match marks.filter(|_| root.directories().len() < MOST_DIRECTORIES) {
            Some(marks) => {
                let mut over = self.disk_over(root, tree, disk.layers, marks).await?;
                over.base.clone_from(&disk.base);
                Ok(Some(over))
            }
            None => self.copied_disk(disk).await.map(Some),
        }
    }

    /// A root that holds only what will differ from another.
    async fn disk_over(
        &self,
        below: Arc<Root>,
        tree: Tree,
        layers: usize,
        marks: OverlayMarks,
    ) -> Result<Disk, BuildError> {
        let (directory, known) = (self.directory.clone(), tree.clone());
        let root = blocking(move || Root::over(below, known, directory, marks)).await?;
        Ok(Disk {
            root: Arc::new(root),
            tree,
            layers,
            snapshot: None,
            base: None,
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
                base: None,
            })
        })
        .await
    }
}

/// The most directories an overlay is made of. The kernel takes more, but each costs a look for every missing name.
const MOST_DIRECTORIES: usize = 24;
