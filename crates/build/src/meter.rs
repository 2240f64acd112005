//! Counting bytes as they pass.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

/// How many bytes pass between two reports.
const STEP: u64 = 512 << 10;

/// A reader that reports how much was read.
pub(crate) struct Metered<R, G> {
    reader: R,
    /// Whatever ends with the reader.
    _guard: G,
    done: u64,
    told: u64,
    report: Box<dyn Fn(u64) + Send + Sync>,
}

impl<R, G> Metered<R, G> {
    pub(crate) fn new(reader: R, guard: G, report: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self {
            reader,
            _guard: guard,
            done: 0,
            told: 0,
            report: Box::new(report),
        }
    }
}

impl<R, G> fmt::Debug for Metered<R, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl<R: AsyncRead + Unpin, G: Unpin> AsyncRead for Metered<R, G> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.reader).poll_read(context, buffer);
        self.done += (buffer.filled().len() - before) as u64;
        if self.done - self.told >= STEP {
            self.told = self.done;
            (self.report)(self.done);
        }
        polled
    }
}
