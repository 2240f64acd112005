//! Parallel gzip whose bytes do not depend on the number of threads.
//!
//! The input is cut into fixed blocks. Each is compressed by a fresh compressor
//! with the end of the block before it as dictionary, ends on a byte boundary,
//! and all of them make one gzip member. What a block becomes therefore depends on
//! the input alone.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Crc, FlushCompress, Status};

use crate::CompressError;
use crate::blocks::Bytes;

/// A running set of compressors that writes to `W` from the calling thread.
#[derive(Debug)]
pub(crate) struct Gzip<W> {
    out: W,
    jobs: SyncSender<Job>,
    /// Answers to come, oldest first.
    pending: VecDeque<Receiver<Answer>>,
    max_pending: usize,
    previous: Option<Bytes>,
    spare: Vec<Vec<u8>>,
    crc: Crc,
}

#[derive(Debug)]
struct Job {
    block: Bytes,
    /// The block before it, whose end is the dictionary.
    previous: Option<Bytes>,
    last: bool,
    room: Vec<u8>,
    answer: SyncSender<Answer>,
}

type Answer = Result<Compressed, io::Error>;

#[derive(Debug)]
struct Compressed {
    bytes: Vec<u8>,
    crc: Crc,
}

impl<W: Write> Gzip<W> {
    pub(crate) fn start(mut out: W, level: u32, threads: usize) -> Result<Self, CompressError> {
        let threads = threads.clamp(1, MOST_THREADS);
        let (jobs, queue) = sync_channel(threads);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let work = move || work(&queue, level);
            thread::Builder::new()
                .name("gzip".into())
                .spawn(work)
                .map_err(|source| CompressError::Thread { source })?;
        }
        out.write_all(&HEADER)
            .map_err(|source| CompressError::Output { source })?;
        // One being compressed by each thread, one for the first of them to go on with, one to be written.
        let max_pending = threads + 2;
        Ok(Self {
            out,
            jobs,
            pending: VecDeque::new(),
            max_pending,
            previous: None,
            spare: Vec::new(),
            crc: Crc::new(),
        })
    }

    /// Compresses one block; all but the last must have the same length.
    pub(crate) fn push(&mut self, block: Bytes, last: bool) -> Result<(), CompressError> {
        while self.pending.len() >= self.max_pending {
            self.take_oldest()?;
        }
        let (answer, receiver) = sync_channel(1);
        let previous = self.previous.replace(Arc::clone(&block));
        let room = self.spare.pop().unwrap_or_default();
        self.jobs
            .send(Job {
                block,
                previous,
                last,
                room,
                answer,
            })
            .map_err(|_| CompressError::WorkerGone)?;
        self.pending.push_back(receiver);
        self.take_ready()
    }

    /// Writes what is outstanding and the trailer. The last block has been pushed.
    pub(crate) fn finish(mut self) -> Result<W, CompressError> {
        while !self.pending.is_empty() {
            self.take_oldest()?;
        }
        let trailer = [
            self.crc.sum().to_le_bytes(),
            self.crc.amount().to_le_bytes(),
        ]
        .concat();
        self.write(&trailer)?;
        Ok(self.out)
    }

    fn take_oldest(&mut self) -> Result<(), CompressError> {
        match self.pending.pop_front() {
            Some(oldest) => self.take(oldest.recv().map_err(|_| CompressError::WorkerGone)?),
            None => Ok(()),
        }
    }

    fn take_ready(&mut self) -> Result<(), CompressError> {
        while let Some(oldest) = self.pending.front() {
            match oldest.try_recv() {
                Ok(answer) => {
                    self.pending.pop_front();
                    self.take(answer)?;
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(CompressError::WorkerGone),
            }
        }
        Ok(())
    }

    fn take(&mut self, answer: Answer) -> Result<(), CompressError> {
        let compressed = answer.map_err(|source| CompressError::Compressor { source })?;
        self.crc.combine(&compressed.crc);
        self.write(&compressed.bytes)?;
        self.spare.push(compressed.bytes);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CompressError> {
        self.out
            .write_all(bytes)
            .map_err(|source| CompressError::Output { source })
    }
}

/// Compresses until the queue is closed.
fn work(queue: &Mutex<Receiver<Job>>, level: u32) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        let answer = compress(
            job.room,
            &job.block,
            job.previous.as_deref(),
            job.last,
            level,
        );
        // Nobody listens any more if the writer gave up.
        let _ = job.answer.send(answer);
    }
}

fn compress(
    mut room: Vec<u8>,
    block: &[u8],
    previous: Option<&Vec<u8>>,
    last: bool,
    level: u32,
) -> Answer {
    room.clear();
    // Always room for all: a compressor that has to stop for lack of it may
    // go on differently.
    room.reserve(crate::blocks::BLOCK_LENGTH * 5 / 4 + 4096);
    // A reused compressor does not always repeat its bytes; a fresh one does.
    let level = worthwhile(block, level)?;
    let mut compressor = Compress::new(flate2::Compression::new(level), false);
    if let Some(previous) = previous {
        let dictionary = &previous[previous.len().saturating_sub(WINDOW)..];
        compressor
            .set_dictionary(dictionary)
            .map_err(io::Error::from)?;
    }
    let flush = if last {
        FlushCompress::Finish
    } else {
        FlushCompress::Sync
    };
    let status = compressor
        .compress_vec(block, &mut room, flush)
        .map_err(io::Error::from)?;
    let complete =
        compressor.total_in() == block.len() as u64 && (status == Status::StreamEnd) == last;
    if !complete {
        return Err(io::Error::other(
            "the compressor did not take a whole block",
        ));
    }
    let mut crc = Crc::new();
    crc.update(block);
    Ok(Compressed { bytes: room, crc })
}

/// The level for a block: none where samples of it do not shrink, as in random, encrypted or compressed data, which
/// would be searched for long for nothing.
fn worthwhile(block: &[u8], level: u32) -> io::Result<u32> {
    if block.len() < SAMPLES * SAMPLE {
        return Ok(level);
    }
    let distance = block.len() / SAMPLES;
    let samples: Vec<u8> = (0..SAMPLES)
        .flat_map(|number| &block[number * distance..][..SAMPLE])
        .copied()
        .collect();
    let mut room = Vec::with_capacity(2 * samples.len());
    Compress::new(flate2::Compression::new(level), false)
        .compress_vec(&samples, &mut room, FlushCompress::Finish)
        .map_err(io::Error::from)?;
    let shrinks = room.len() * 100 < samples.len() * 99;
    Ok(if shrinks { level } else { STORED })
}

const STORED: u32 = 0;

/// How many samples of a block are tried, and their length in bytes.
const SAMPLES: usize = 8;
const SAMPLE: usize = 8 * 1024;

/// Deflate, no flags, no time, no hints, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Each has a block, and room for what becomes of it: memory is bounded on machines with many cores too.
const MOST_THREADS: usize = 16;

/// How far deflate looks back, in bytes.
const WINDOW: usize = 32 * 1024;
