//! Bringing a saved mount back to disk: chunks are fetched ahead while files are written.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use yadokari_layer::Contents;
use yadokari_rootfs::{Exclude, Root, apply, walk};
use yadokari_tree::{Metadata, Node, Timestamp, Tree, TreePath, diff};

use crate::mounts::chunks::{Chunk, unpack};
use crate::mounts::document::Saved;
use crate::mounts::error::MountError;
use crate::mounts::listing::kept;
use crate::mounts::place::Place;
use crate::mounts::store::{MountStore, blocking};

/// A mount that is on disk again.
#[derive(Debug)]
pub struct Restored {
    /// Its files as they are on disk now.
    pub tree: Tree,
}

/// How many chunks are fetched at the same time.
const CONCURRENT: usize = 4;

impl MountStore {
    /// Writes a saved mount to a directory that does not exist yet or is empty.
    ///
    /// Chunks are checked as they come. Whatever the record says, nothing is written outside the directory.
    ///
    /// # Errors
    ///
    /// [`MountError`]; a part of the files may be there then, and the directory is of no use.
    pub async fn restore(
        &self,
        saved: &Saved,
        into: &Path,
        threads: usize,
    ) -> Result<Restored, MountError> {
        if let Some(limit) = self.limit.filter(|limit| saved.bytes > *limit) {
            let bytes = saved.bytes;
            return Err(MountError::TooLarge { bytes, limit });
        }
        let _held = self.place.hold().await?;
        let tree = self.listing(saved).await?;
        let (sender, receiver) = channel(1);
        let into = into.to_owned();
        let writing = blocking(move || write(&into, &tree, receiver, threads));
        let (fed, written) =
            tokio::join!(feed(&self.place, saved.content.clone(), sender), writing);
        // Where fetching failed, writing failed for want of bytes.
        fed?;
        written
    }
}

/// Fetches chunks in order, a few ahead.
async fn feed(
    place: &Place,
    chunks: Vec<Chunk>,
    sender: Sender<(Chunk, Bytes)>,
) -> Result<(), MountError> {
    let fetch = |chunk: Chunk| {
        let place = place.clone();
        async move {
            let blob = place.blob(&chunk.blob).await?;
            Ok::<_, MountError>((chunk, blob))
        }
    };
    let mut fetched = stream::iter(chunks).map(fetch).buffered(CONCURRENT);
    while let Some(next) = fetched.next().await {
        if sender.send(next?).await.is_err() {
            // The writer stopped, and says why.
            break;
        }
    }
    Ok(())
}

fn write(
    into: &Path,
    tree: &Tree,
    chunks: Receiver<(Chunk, Bytes)>,
    threads: usize,
) -> Result<Restored, MountError> {
    let root = Root::create(into).map_err(|source| MountError::disk(into, source))?;
    let contents = Incoming {
        root: &root,
        stream: Mutex::new(Joined::new(chunks)),
        names: Mutex::default(),
    };
    apply(&root, &diff(&Tree::empty(), tree), &contents)?;
    describe_top(into, tree.root().metadata()).map_err(|source| MountError::disk(into, source))?;
    let tree = read(&root, threads)?;
    Ok(Restored { tree })
}

/// Gives the mount's own directory its metadata, which is no entry of anything.
fn describe_top(directory: &Path, metadata: &Metadata) -> io::Result<()> {
    chown(directory, Some(metadata.uid), Some(metadata.gid))?;
    fs::set_permissions(directory, Permissions::from_mode(metadata.mode.into()))?;
    if let Ok(seconds) = u64::try_from(metadata.mtime.seconds) {
        let age = Duration::new(seconds, metadata.mtime.nanos);
        let time = SystemTime::UNIX_EPOCH.checked_add(age);
        if let Some(time) = time {
            File::open(directory)?.set_times(FileTimes::new().set_modified(time))?;
        }
    }
    Ok(())
}

/// Lists a mount's directory, itself included.
pub(crate) fn read(root: &Root, threads: usize) -> Result<Tree, MountError> {
    let mut tree = kept(&walk(root, threads, &|_, _| Exclude::Keep)?);
    let top = TreePath::root();
    let found = root.metadata(&top);
    let found = found.map_err(|source| MountError::disk(root.path(), source))?;
    if let Some(metadata) = tree.metadata_mut(&top) {
        let nanos = u32::try_from(found.mtime_nsec()).unwrap_or_default();
        metadata.mode = (found.mode() & 0o7777) as u16;
        (metadata.uid, metadata.gid) = (found.uid(), found.gid());
        metadata.mtime = Timestamp::new(found.mtime(), nanos);
    }
    Ok(tree)
}

/// Files whose bytes come one after another.
struct Incoming<'r> {
    root: &'r Root,
    stream: Mutex<Joined>,
    /// Where the bytes of an inode went.
    names: Mutex<HashMap<usize, TreePath>>,
}

impl Contents for Incoming<'_> {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = names.get(&node.identity()) {
            // No further link could be made; the bytes have passed already.
            return Ok(Box::new(self.root.open_file(first)?));
        }
        names.insert(node.identity(), path.clone());
        let left = node.content().map_or(0, |content| content.size);
        Ok(Box::new(Part {
            stream: &self.stream,
            left,
        }))
    }
}

/// The next bytes of the stream, as many as one file has.
struct Part<'s> {
    stream: &'s Mutex<Joined>,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let length = buffer.len().min(wanted);
        if length == 0 {
            return Ok(0);
        }
        let mut stream: MutexGuard<'_, Joined> =
            self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let read = stream.read(&mut buffer[..length])?;
        self.left -= read as u64;
        match read {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// Chunks as one stream.
struct Joined {
    chunks: Receiver<(Chunk, Bytes)>,
    current: Vec<u8>,
    at: usize,
}

impl Joined {
    fn new(chunks: Receiver<(Chunk, Bytes)>) -> Self {
        Self {
            chunks,
            current: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            let Some((chunk, blob)) = self.chunks.blocking_recv() else {
                return Ok(0);
            };
            self.current = unpack(&chunk, &blob).map_err(io::Error::other)?;
            self.at = 0;
        }
        let rest = &self.current[self.at..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
