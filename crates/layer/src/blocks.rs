//! Cutting a stream into fixed blocks that threads can share.

use std::mem;
use std::sync::Arc;

/// A block that several threads read.
pub(crate) type Bytes = Arc<Vec<u8>>;

/// Length of every block but the last, in bytes. Part of what decides a gzip
/// layer's digest.
pub(crate) const BLOCK_LENGTH: usize = 1 << 20;

/// Collects bytes into blocks of [`BLOCK_LENGTH`], whatever they arrive in.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    filling: Vec<u8>,
    /// Blocks handed out earlier, taken back once nobody reads them.
    used: Vec<Bytes>,
}

impl Blocks {
    /// Takes a part of `bytes` and says how much, at least one byte of any.
    /// Gives a block once there are bytes beyond it, so that the last block is
    /// only known by [`finish`](Self::finish).
    pub(crate) fn fill(&mut self, bytes: &[u8]) -> (usize, Option<Bytes>) {
        let full =
            (self.filling.len() == BLOCK_LENGTH && !bytes.is_empty()).then(|| self.hand_out());
        let taken = bytes.len().min(BLOCK_LENGTH - self.filling.len());
        self.filling.extend_from_slice(&bytes[..taken]);
        (taken, full)
    }

    /// The last block; empty only if there were no bytes at all.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.hand_out()
    }

    fn hand_out(&mut self) -> Bytes {
        let next = self.recycled();
        let block = Arc::new(mem::replace(&mut self.filling, next));
        self.used.push(Arc::clone(&block));
        block
    }

    fn recycled(&mut self) -> Vec<u8> {
        let free = self
            .used
            .iter()
            .position(|block| Arc::strong_count(block) == 1);
        let block = free.and_then(|at| Arc::into_inner(self.used.swap_remove(at)));
        match block {
            Some(mut block) => {
                block.clear();
                block
            }
            None => Vec::with_capacity(BLOCK_LENGTH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(total: usize, step: usize) -> Vec<usize> {
        let mut blocks = Blocks::default();
        let mut lengths = Vec::new();
        for chunk in vec![7; total].chunks(step) {
            let mut rest = chunk;
            while !rest.is_empty() {
                let (taken, full) = blocks.fill(rest);
                rest = &rest[taken..];
                lengths.extend(full.map(|block| block.len()));
            }
        }
        lengths.push(blocks.finish().len());
        lengths
    }

    #[test]
    fn blocks_do_not_depend_on_how_bytes_arrive() {
        for (total, want) in [
            (0, vec![0]),
            (5, vec![5]),
            (BLOCK_LENGTH, vec![BLOCK_LENGTH]),
            (BLOCK_LENGTH + 1, vec![BLOCK_LENGTH, 1]),
            (3 * BLOCK_LENGTH, vec![BLOCK_LENGTH; 3]),
        ] {
            for step in [999, BLOCK_LENGTH, 3 * BLOCK_LENGTH] {
                assert_eq!(cut(total, step), want, "{total} by {step}");
            }
        }
    }
}
