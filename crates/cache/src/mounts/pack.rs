//! Reading a mount into chunks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use yadokari_image::{Descriptor, Digest};
use yadokari_rootfs::Root;
use yadokari_tree::{Node, Tree, TreePath};

use crate::mounts::chunks::{CONTENT, Chunk, LISTING, Sizes, compress, cut};
use crate::mounts::document::CHUNK_TYPE;
use crate::mounts::error::MountError;
use crate::mounts::listing;

/// All chunks of a mount.
pub(crate) struct Packed {
    pub(crate) listing: Vec<Chunk>,
    pub(crate) content: Vec<Chunk>,
}

/// Reads a mount into chunks and hands on those that are not known.
pub(crate) fn pack(
    directory: &Path,
    tree: &Tree,
    mut packer: Packer,
) -> Result<Packed, MountError> {
    let root = Root::open(directory).map_err(|source| MountError::disk(directory, source))?;
    let mut files = Files::new(&root, tree);
    let content = packer.stream(&mut files, CONTENT);
    let content = content.map_err(|error| files.explain(error))?;
    let text = listing::text(tree);
    let listing = packer.stream(text.as_bytes(), LISTING);
    let listing = listing.map_err(|source| unreadable(&TreePath::root(), source))?;
    Ok(Packed { listing, content })
}

/// Cuts streams and hands on the chunks that are not known.
pub(crate) struct Packer {
    pub(crate) known: HashMap<Digest, Chunk>,
    pub(crate) sender: Sender<(Descriptor, Bytes)>,
}

impl Packer {
    pub(crate) fn stream(&mut self, stream: impl Read, sizes: Sizes) -> io::Result<Vec<Chunk>> {
        cut(stream, sizes).map(|raw| self.add(&raw?)).collect()
    }

    fn add(&mut self, raw: &[u8]) -> io::Result<Chunk> {
        let digest = Digest::of(raw);
        if let Some(known) = self.known.get(&digest) {
            return Ok(known.clone());
        }
        let blob = compress(raw)?;
        let chunk = Chunk {
            raw: digest,
            size: raw.len() as u64,
            blob: Descriptor::of(CHUNK_TYPE, &blob),
        };
        let sent = self.sender.blocking_send((chunk.blob.clone(), blob.into()));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.known.insert(digest, chunk.clone());
        Ok(chunk)
    }
}

/// The contents of all files, one after another.
struct Files<'r> {
    root: &'r Root,
    waiting: std::vec::IntoIter<(TreePath, Node)>,
    current: Option<(TreePath, File, u64)>,
    /// The file that was being read when something went wrong.
    failed: Option<TreePath>,
}

impl<'r> Files<'r> {
    fn new(root: &'r Root, tree: &Tree) -> Self {
        Self {
            root,
            waiting: listing::contents(tree).into_iter(),
            current: None,
            failed: None,
        }
    }

    fn open_next(&mut self) -> io::Result<bool> {
        let Some((path, node)) = self.waiting.next() else {
            return Ok(false);
        };
        let size = node.content().map_or(0, |content| content.size);
        match self.root.open_file(&path) {
            Ok(file) => {
                self.current = Some((path, file, size));
                Ok(true)
            }
            Err(error) => {
                self.failed = Some(path);
                Err(error)
            }
        }
    }

    /// Says of an error whether a file changed, cannot be read, or was not at fault.
    fn explain(&mut self, error: io::Error) -> MountError {
        let path = self.failed.take().unwrap_or_else(TreePath::root);
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => MountError::Unstable { path },
            _ => unreadable(&path, error),
        }
    }
}

pub(crate) fn unreadable(path: &TreePath, source: io::Error) -> MountError {
    let path = path.clone();
    MountError::File { path, source }
}

impl Read for &mut Files<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some((path, file, left)) = &mut self.current else {
                if self.open_next()? {
                    continue;
                }
                return Ok(0);
            };
            let length = buffer
                .len()
                .min(usize::try_from(*left).unwrap_or(usize::MAX));
            if length == 0 {
                self.current = None;
                continue;
            }
            let read = file.read(&mut buffer[..length]);
            match read {
                Ok(0) => {
                    self.failed = Some(path.clone());
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(read) => {
                    *left -= read as u64;
                    return Ok(read);
                }
                Err(error) => {
                    self.failed = Some(path.clone());
                    return Err(error);
                }
            }
        }
    }
}
