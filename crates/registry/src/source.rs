//! [`Source`]: bytes to push that can be read more than once.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncSeekExt};

/// A stream of bytes on its way to a registry.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// Bytes that can be opened again at any offset, because an upload may have to start over.
///
/// A path, [`Bytes`] and a closure `Fn(u64) -> io::Result<Reader>` are sources.
pub trait Source: Send + Sync {
    /// Opens the bytes from `offset` on.
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Reader>>;
}

impl Source for PathBuf {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Reader>> {
        Box::pin(async move {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", self.display()))
            };
            let mut file = tokio::fs::File::open(self).await.map_err(named)?;
            file.seek(io::SeekFrom::Start(offset))
                .await
                .map_err(named)?;
            file.set_max_buf_size(1024 * 1024);
            Ok(Box::pin(file) as Reader)
        })
    }
}

impl Source for Bytes {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Reader>> {
        let start = usize::try_from(offset).map_or(self.len(), |offset| offset.min(self.len()));
        let rest = io::Cursor::new(self.slice(start..));
        Box::pin(async move { Ok(Box::pin(rest) as Reader) })
    }
}

impl<F> Source for F
where
    F: Fn(u64) -> io::Result<Reader> + Send + Sync,
{
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Reader>> {
        Box::pin(async move { self(offset) })
    }
}
