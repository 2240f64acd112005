//! The files of a stage: always known as layers, as a tree when a step asks, on disk when a RUN does.

mod archives;

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use tokio::sync::Mutex;
use tracing::Instrument as _;
use yadokari_image::DiffId;
use yadokari_layer::Contents;
use yadokari_rootfs::{OverlayMarks, Root, Snapshot, remove_tree};
use yadokari_store::{Arrival, Follower};
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
use archives::{Brought, Incoming, downloads, read_tree, unpack};

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
            let (downloads, incoming) = downloads(work, &self.layers[self.known..]);
            while_it_takes(downloads, self.read_all(work, incoming)).await?;
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
        } else if let Some(tree) = work.trees.find(base).await? {
            (self.tree, self.known) = (tree, base.len());
        } else if let Some(tree) = work.bases.tree(base).await? {
            (self.tree, self.known) = (tree, base.len());
        } else if let Some(tree) = listing::find(work, base).await {
            (self.tree, self.known) = (tree, base.len());
        }
        Ok(())
    }

    async fn read_all(&mut self, work: &Work, mut incoming: Incoming) -> Result<(), BuildError> {
        while let Some(layer) = incoming.recv().await {
            let mut read = self.read(work, layer.arrival.follow()).await;
            if let Brought::Again(blob) = layer.brought().await? {
                read = self.read(work, Arrival::of(&blob).follow()).await;
            }
            self.tree = self.checked(work, self.known, read).await?;
            self.known += 1;
            self.note(work, self.known, &self.tree).await?;
        }
        Ok(())
    }

    /// The tree with the next layer, whose archive is given.
    async fn read(&self, work: &Work, archive: Follower) -> Result<(Tree, DiffId), BuildError> {
        let (tree, limits) = (self.tree.clone(), work.limits());
        blocking(move || read_tree(archive, tree, limits))
            .instrument(work_span!("list", "layer {}", self.known + 1))
            .await
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
        let unpacked = self.catch_up(work, &mut disk).await;
        self.disk = Some(disk);
        unpacked?;
        let disk = self.disk.as_ref().expect("it was made above");
        self.tree = disk.tree.clone();
        self.known = disk.layers;
        Ok((Arc::clone(&disk.root), disk.tree.clone()))
    }

    /// Unpacks the layers that a disk lacks.
    async fn catch_up(&self, work: &Work, disk: &mut Disk) -> Result<(), BuildError> {
        loop {
            let (downloads, incoming) = downloads(work, &self.layers[disk.layers..]);
            let unpacked = self.unpack_all(work, disk, incoming);
            match while_it_takes(downloads, unpacked).await? {
                Unpacked::Whole => return Ok(()),
                Unpacked::Spoilt => *disk = self.other_disk(work).await?,
            }
        }
    }

    async fn unpack_all(
        &self,
        work: &Work,
        disk: &mut Disk,
        mut incoming: Incoming,
    ) -> Result<Unpacked, BuildError> {
        let _turn = match disk.layers < self.layers.len() {
            true => work.turns.unpack().await,
            false => None,
        };
        while let Some(layer) = incoming.recv().await {
            let (archive, root) = (layer.arrival.follow(), Arc::clone(&disk.root));
            let (tree, limits) = (disk.tree.clone(), work.limits());
            let unpacked = blocking(move || unpack(archive, &root, tree, limits))
                .instrument(work_span!("unpack", "layer {}", disk.layers + 1))
                .await;
            if let Brought::Again(_) = layer.brought().await? {
                return Ok(Unpacked::Spoilt);
            }
            disk.tree = self.checked(work, disk.layers, unpacked).await?;
            disk.snapshot = None;
            disk.layers += 1;
            self.note(work, disk.layers, &disk.tree).await?;
        }
        Ok(Unpacked::Whole)
    }

    /// Tells other stages of the base's tree, as soon as all its layers are in it.
    async fn note(&self, work: &Work, known: usize, tree: &Tree) -> Result<(), BuildError> {
        match known == self.shared {
            true => work.trees.note(&self.layers[..known], tree).await,
            false => Ok(()),
        }
    }

    /// An empty root in place of one that holds what no layer has.
    async fn other_disk(&self, work: &Work) -> Result<Disk, BuildError> {
        let directory = self.directory.clone();
        let threads = work.services.threads;
        let removed = blocking(move || match remove_tree(&directory, threads) {
            // The root was taken over from another stage, and lies elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        });
        removed
            .await
            .map_err(|source| BuildError::disk(&self.directory, source))?;
        empty_disk(self.directory.clone()).await
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
        empty_disk(self.directory.clone()).await
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

/// How it went to unpack layers as they came.
enum Unpacked {
    Whole,
    /// Bytes were unpacked that turned out not to be the layer's.
    Spoilt,
}

/// Polls `beside` as long as `work` takes.
async fn while_it_takes<T>(beside: impl Future<Output = ()>, work: impl Future<Output = T>) -> T {
    match select(pin!(beside), pin!(work)).await {
        Either::Left(((), work)) => work.await,
        Either::Right((done, _)) => done,
    }
}

async fn empty_disk(directory: PathBuf) -> Result<Disk, BuildError> {
    let root = blocking(move || {
        Root::create(&directory).map_err(|source| BuildError::disk(&directory, source))
    });
    Ok(Disk {
        root: Arc::new(root.await?),
        tree: Tree::empty(),
        layers: 0,
        snapshot: None,
        base: None,
    })
}

/// The most directories an overlay is made of. The kernel takes more, but each costs a look for every missing name.
const MOST_DIRECTORIES: usize = 24;
