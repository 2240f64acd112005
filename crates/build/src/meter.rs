//! Counting bytes as they pass.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};

/// So many bytes pass between two reports, or fewer where they take longer than [`INTERVAL`].
const STEP: u64 = 512 << 10;
/// On a slow line, the time between two reports.
const INTERVAL: Duration = Duration::from_millis(100);

/// A reader that reports how much was read.
pub(crate) struct Metered<R, G> {
    reader: R,
    /// Whatever ends with the reader.
    _guard: G,
    done: u64,
    told: u64,
    told_at: Instant,
    report: Box<dyn Fn(u64) + Send + Sync>,
}

impl<R, G> Metered<R, G> {
    pub(crate) fn new(reader: R, guard: G, report: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self {
            reader,
            _guard: guard,
            done: 0,
            told: 0,
            told_at: Instant::now(),
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
        let news = self.done - self.told;
        if news >= STEP || (news > 0 && self.told_at.elapsed() >= INTERVAL) {
            self.told = self.done;
            self.told_at = Instant::now();
            (self.report)(self.done);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Reads two pieces of ten bytes, a wait before each, and gives what was reported.
    async fn reported(wait: Duration) -> Vec<u64> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = Arc::clone(&told);
        let mut metered = Metered::new(&[0_u8; 20][..], (), move |done| {
            teller.lock().unwrap().push(done);
        });
        for _ in 0..2 {
            std::thread::sleep(wait);
            metered.read_exact(&mut [0; 10]).await.unwrap();
        }
        told.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn few_bytes_are_reported_where_they_take_long() {
        assert_eq!(reported(INTERVAL).await, [10, 20]);
    }
}
