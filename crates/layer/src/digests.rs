//! Digests of bytes that pass by.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use sha2::{Digest as _, Sha256};
use yadokari_image::Digest;

use crate::CompressError;
use crate::blocks::Bytes;

/// Hashes blocks on a thread of its own.
#[derive(Debug)]
pub(crate) struct BackgroundDigest {
    blocks: SyncSender<Bytes>,
    thread: JoinHandle<Digest>,
}

impl BackgroundDigest {
    pub(crate) fn start() -> Result<Self, CompressError> {
        let (blocks, queue) = sync_channel::<Bytes>(QUEUE);
        let hash = move || {
            let mut hasher = Sha256::new();
            queue
                .iter()
                .for_each(|block| hasher.update(block.as_slice()));
            Digest::from_sha256(hasher.finalize().into())
        };
        let thread = thread::Builder::new().name("digest".into()).spawn(hash);
        Ok(Self {
            blocks,
            thread: thread.map_err(|source| CompressError::Thread { source })?,
        })
    }

    pub(crate) fn push(&self, block: Bytes) -> Result<(), CompressError> {
        self.blocks
            .send(block)
            .map_err(|_| CompressError::WorkerGone)
    }

    pub(crate) fn finish(self) -> Result<Digest, CompressError> {
        drop(self.blocks);
        self.thread.join().map_err(|_| CompressError::WorkerGone)
    }
}

/// Counts and hashes what is written through it.
pub(crate) struct Metered<'a> {
    out: &'a mut dyn Write,
    hasher: Option<Sha256>,
    pub(crate) written: u64,
}

impl<'a> Metered<'a> {
    pub(crate) fn hashing(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            hasher: Some(Sha256::new()),
            written: 0,
        }
    }

    /// Only counts, where the digest is known from elsewhere.
    pub(crate) fn counting(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            hasher: None,
            written: 0,
        }
    }

    pub(crate) fn digest(self) -> Option<Digest> {
        self.hasher
            .map(|hasher| Digest::from_sha256(hasher.finalize().into()))
    }
}

impl Write for Metered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..written]);
        }
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Blocks that may wait for the hasher.
const QUEUE: usize = 4;
