//! The one way from asynchronous code to work that blocks: disks, processes, compression.

/// Runs a closure on the pool of blocking threads.
///
/// # Panics
///
/// If the closure does: a panic there is a defect here, not a result.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
