//! The one way from asynchronous code to work that blocks: disks, processes, compression.

use tracing::Span;

use crate::trace::inside;

/// Runs a closure on the pool of blocking threads, inside the span of whoever waits.
///
/// # Panics
///
/// If the closure does: a panic there is a defect here, not a result.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(inside(Span::current(), work)).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
