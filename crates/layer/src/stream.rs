//! The unpacked bytes of an archive, hashed and bounded.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};
use yadokari_image::{DiffId, Digest};

use crate::ReadError;
use crate::decompress::Decoder;

/// Unpacked bytes in order. Counts them, stops at a limit, and knows their
/// digest at the end.
pub(crate) struct Stream<'a> {
    source: Source<'a>,
    position: u64,
    /// Bytes that were made and are not in the stream.
    made: u64,
    limit: u64,
}

enum Source<'a> {
    Inline {
        reader: Box<dyn Read + 'a>,
        hasher: Sha256,
    },
    Thread(Thread),
}

/// A thread unpacks and hashes; buffers go round.
struct Thread {
    pieces: Receiver<Piece>,
    empties: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    end: Option<Digest>,
}

enum Piece {
    Bytes(Vec<u8>),
    End(Digest),
    Failed(io::Error),
}

impl<'a> Stream<'a> {
    /// Reads unpacked bytes on the caller's thread.
    pub(crate) fn inline(reader: Box<dyn Read + 'a>, limit: u64) -> Self {
        Self {
            source: Source::Inline {
                reader,
                hasher: Sha256::new(),
            },
            position: 0,
            made: 0,
            limit,
        }
    }

    /// Starts a thread that unpacks ahead, a few buffers at most.
    pub(crate) fn threaded(reader: impl Read + Send + 'static, limit: u64) -> io::Result<Self> {
        let (sender, pieces) = sync_channel(AHEAD);
        let (empties, returned) = channel();
        let unpack = move || {
            let end = match unpack(reader, &sender, &returned) {
                Ok(digest) => Piece::End(digest),
                Err(error) => Piece::Failed(error),
            };
            // Nobody listens any more if the reader was dropped early.
            let _ = sender.send(end);
        };
        thread::Builder::new().name("unpack".into()).spawn(unpack)?;
        let thread = Thread {
            pieces,
            empties,
            current: Vec::new(),
            at: 0,
            end: None,
        };
        Ok(Self {
            source: Source::Thread(thread),
            position: 0,
            made: 0,
            limit,
        })
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Counts bytes that are made without being in the stream.
    pub(crate) fn count_made(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.made = self.made.saturating_add(bytes);
        self.expect(0)
    }

    /// Refuses to wait for bytes that would be too many.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), ReadError> {
        let total = self
            .position
            .saturating_add(self.made)
            .saturating_add(bytes);
        let limit = self.limit;
        if total > limit {
            Err(ReadError::UnpackedTooLong { limit })
        } else {
            Ok(())
        }
    }

    /// Fills the buffer; `false` if the stream ended before its first byte.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(ReadError::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ReadError::from_io(error)),
            }
        }
        Ok(true)
    }

    /// Passes over bytes that have to be there.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<(), ReadError> {
        let skipped =
            io::copy(&mut self.take(bytes), &mut io::sink()).map_err(ReadError::from_io)?;
        if skipped == bytes {
            Ok(())
        } else {
            Err(ReadError::Truncated)
        }
    }

    /// Reads to the end and gives the digest of everything.
    pub(crate) fn finish(mut self) -> Result<DiffId, ReadError> {
        io::copy(&mut self, &mut io::sink()).map_err(ReadError::from_io)?;
        let digest = match self.source {
            Source::Inline { hasher, .. } => Digest::from_sha256(hasher.finalize().into()),
            Source::Thread(thread) => thread.end.ok_or(ReadError::Truncated)?,
        };
        Ok(DiffId::from_digest(digest))
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.source {
            Source::Inline { reader, hasher } => {
                let read = reader.read(buffer)?;
                hasher.update(&buffer[..read]);
                read
            }
            Source::Thread(thread) => thread.read(buffer)?,
        };
        self.position += read as u64;
        self.expect(0).map_err(ReadError::into_io)?;
        Ok(read)
    }
}

impl Thread {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() && self.end.is_none() {
            self.receive()?;
        }
        let rest = &self.current[self.at..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.at += read;
        Ok(read)
    }

    fn receive(&mut self) -> io::Result<()> {
        match self.pieces.recv() {
            Ok(Piece::Bytes(bytes)) => {
                let empty = std::mem::replace(&mut self.current, bytes);
                self.at = 0;
                // The thread may have ended already and need no buffers.
                let _ = self.empties.send(empty);
                Ok(())
            }
            Ok(Piece::End(digest)) => {
                self.end = Some(digest);
                Ok(())
            }
            Ok(Piece::Failed(error)) => Err(error),
            Err(_) => Err(io::Error::other("the archive failed to unpack before")),
        }
    }
}

impl Debug for Stream<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("position", &self.position)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Unpacks to the end, or until nobody takes the pieces any more.
fn unpack(
    reader: impl Read,
    pieces: &SyncSender<Piece>,
    empties: &Receiver<Vec<u8>>,
) -> io::Result<Digest> {
    let mut decoder = Decoder::open(reader)?;
    let mut hasher = Sha256::new();
    loop {
        let mut buffer = empties.try_recv().unwrap_or_default();
        buffer.resize(PIECE, 0);
        let (filled, outcome) = fill(&mut decoder, &mut buffer);
        buffer.truncate(filled);
        hasher.update(&buffer);
        // What came before a failure still counts: an entry in it may be whole.
        let taken = filled == 0 || pieces.send(Piece::Bytes(buffer)).is_ok();
        outcome?;
        if filled < PIECE || !taken {
            return Ok(Digest::from_sha256(hasher.finalize().into()));
        }
    }
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> (usize, io::Result<()>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(error)),
        }
    }
    (filled, Ok(()))
}

/// Bytes of one buffer between the threads.
const PIECE: usize = 256 * 1024;

/// Buffers that may wait for the reader.
const AHEAD: usize = 4;
