//! Saving a mount: what changed is cut, compressed and sent while the rest is still being read.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc::{Receiver, channel};
use yadokari_image::{Descriptor, Digest};
use yadokari_rootfs::Root;
use yadokari_tree::{Tree, TreePath};

use crate::mounts::chunks::{Chunk, LISTING};
use crate::mounts::document::Saved;
use crate::mounts::error::MountError;
use crate::mounts::listing::{self, same_files};
use crate::mounts::name::MountIdentity;
use crate::mounts::pack::{Packed, Packer, pack, unreadable};
use crate::mounts::restore::read;
use crate::mounts::store::{MountStore, blocking};

/// A mount to be saved.
#[derive(Debug, Clone)]
pub struct SaveRequest<'a> {
    /// Which mount it is.
    pub identity: &'a MountIdentity,
    /// Where its files are.
    pub directory: &'a Path,
    /// What is saved of it already: its chunks are not sent again.
    pub base: Option<&'a Saved>,
    /// The files as they were with what is saved; equal ones need no saving.
    pub before: Option<&'a Tree>,
    /// The time of saving, RFC 3339.
    pub created: String,
    /// How many threads list the files.
    pub threads: usize,
}

/// What saving came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SavedNow {
    /// What is saved already is what there is.
    Unchanged,
    /// There is a new record.
    Saved {
        /// The record.
        saved: Box<Saved>,
        /// Bytes of the chunks that had to be sent.
        sent: u64,
    },
    /// The mount outgrew the limit.
    TooLarge {
        /// Bytes in its files.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
        /// The record was replaced by an empty one, so that the next job fills it anew.
        emptied: bool,
    },
}

/// How often saving is tried while something keeps writing.
const TRIES: u32 = 3;
/// How many chunks are sent at the same time.
const CONCURRENT: usize = 4;

impl MountStore {
    /// Saves a mount, if it changed.
    ///
    /// Chunks come first and the tag last, so a reader never sees half a mount. What other jobs saved since
    /// `base` was read is replaced.
    ///
    /// # Errors
    ///
    /// [`MountError`]; what was saved before stays.
    pub async fn save(&self, request: &SaveRequest<'_>) -> Result<SavedNow, MountError> {
        let tag = self.own_tag(request.identity);
        let before = self.place.cleanable(&tag).await?;
        let held = self.place.hold().await?;
        let outcome = self.attempts(request).await;
        drop(held);
        if let (Ok(_), Some(manifest)) = (&outcome, before)
            && let Err(error) = self.place.clean(manifest).await
        {
            tracing::debug!(%error, "removing the chunks of an older cache mount");
        }
        outcome
    }

    async fn attempts(&self, request: &SaveRequest<'_>) -> Result<SavedNow, MountError> {
        let mut tries = 1;
        loop {
            match self.attempt(request).await {
                Err(MountError::Unstable { .. }) if tries < TRIES => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self, request: &SaveRequest<'_>) -> Result<SavedNow, MountError> {
        let tree = list(request).await?;
        let unchanged = match request.before {
            Some(before) => same_files(before, &tree),
            None => request.base.is_none() && tree.is_empty(),
        };
        if unchanged {
            return Ok(SavedNow::Unchanged);
        }
        let bytes = listing::bytes(&tree).unwrap_or(u64::MAX);
        if let Some(limit) = self.limit.filter(|limit| bytes > *limit) {
            let emptied = self.empty(request).await?;
            return Ok(SavedNow::TooLarge {
                bytes,
                limit,
                emptied,
            });
        }
        let known = request.base.map(Saved::known).unwrap_or_default();
        let trusted = !known.is_empty();
        match self.write(request, &tree, known).await {
            // Somebody may have removed the chunks that were there a while ago.
            Err(MountError::Registry(error)) if trusted => {
                tracing::debug!(%error, "saving a cache mount once more with all its chunks");
                self.write(request, &tree, HashMap::new()).await
            }
            outcome => outcome,
        }
    }

    async fn write(
        &self,
        request: &SaveRequest<'_>,
        tree: &Tree,
        known: HashMap<Digest, Chunk>,
    ) -> Result<SavedNow, MountError> {
        let (sender, receiver) = channel(1);
        let (directory, files) = (request.directory.to_owned(), tree.clone());
        let packing = blocking(move || pack(&directory, &files, Packer { known, sender }));
        let (sent, packed) = tokio::join!(self.send(receiver), packing);
        // Where sending failed, packing stopped for want of somebody to take the chunks.
        let (sent, Packed { listing, content }) = (sent?, packed?);
        let now = list(request).await?;
        if !same_files(tree, &now) {
            return Err(changed_between(tree, &now));
        }
        let saved = Saved {
            digest: Digest::of(b""),
            name: request.identity.name().to_string(),
            id: request.identity.id.clone(),
            platform: request.identity.platform.clone(),
            created: request.created.clone(),
            entries: tree.len() as u64,
            bytes: content.iter().map(|chunk| chunk.size).sum(),
            listing,
            content,
        };
        let saved = Box::new(self.publish(request.identity, saved).await?);
        Ok(SavedNow::Saved { saved, sent })
    }

    /// Sends chunks, a few at a time, and counts the bytes that had to move.
    async fn send(&self, chunks: Receiver<(Descriptor, Bytes)>) -> Result<u64, MountError> {
        let chunks = stream::unfold(chunks, |mut chunks| async move {
            let next = chunks.recv().await?;
            Some((next, chunks))
        });
        let put = |(descriptor, bytes): (Descriptor, Bytes)| {
            let place = self.place.clone();
            async move {
                let moved = place.put(&descriptor, bytes).await?;
                Ok::<u64, MountError>(if moved { descriptor.size } else { 0 })
            }
        };
        let sizes = chunks.map(put).buffer_unordered(CONCURRENT);
        sizes
            .try_fold(0, |sum, size| async move { Ok(sum + size) })
            .await
    }

    async fn publish(&self, identity: &MountIdentity, saved: Saved) -> Result<Saved, MountError> {
        let documents = saved.documents(identity);
        let digest = Digest::of(&documents.manifest);
        let created = saved.created.clone();
        let chunks = saved.blobs();
        self.place
            .publish(&self.own_tag(identity), documents, chunks, created)
            .await?;
        Ok(Saved { digest, ..saved })
    }

    /// Replaces a record that holds files by one that holds none.
    async fn empty(&self, request: &SaveRequest<'_>) -> Result<bool, MountError> {
        if request.base.is_none_or(|base| base.bytes == 0) {
            return Ok(false);
        }
        let (sender, receiver) = channel(1);
        let text = listing::text(&Tree::empty());
        let packing = blocking(move || {
            let known = HashMap::new();
            Packer { known, sender }.stream(text.as_bytes(), LISTING)
        });
        let (sent, listing) = tokio::join!(self.send(receiver), packing);
        sent?;
        let saved = Saved {
            digest: Digest::of(b""),
            name: request.identity.name().to_string(),
            id: request.identity.id.clone(),
            platform: request.identity.platform.clone(),
            created: request.created.clone(),
            entries: 0,
            bytes: 0,
            listing: listing.map_err(|source| unreadable(&TreePath::root(), source))?,
            content: Vec::new(),
        };
        self.publish(request.identity, saved).await?;
        Ok(true)
    }
}

async fn list(request: &SaveRequest<'_>) -> Result<Tree, MountError> {
    let (directory, threads) = (request.directory.to_owned(), request.threads);
    let listed = blocking(move || {
        let root = Root::open(&directory);
        let root = root.map_err(|source| MountError::disk(&directory, source))?;
        read(&root, threads)
    });
    match listed.await {
        Err(MountError::Scan(yadokari_rootfs::ScanError::Disk(error)))
            if error.source.kind() == io::ErrorKind::NotFound =>
        {
            Err(MountError::Unstable { path: error.path })
        }
        outcome => outcome,
    }
}

/// The first name that tells two listings apart.
fn changed_between(before: &Tree, after: &Tree) -> MountError {
    let pairs = before.walk().zip(after.walk());
    let differing = pairs
        .filter(|((old, before), (new, after))| old != new || before.metadata() != after.metadata())
        .map(|((path, _), _)| path)
        .next();
    let path = differing.unwrap_or_else(TreePath::root);
    MountError::Unstable { path }
}
