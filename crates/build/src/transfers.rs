//! Layers on their way from and to registries, as those who watch the build see them.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, SemaphorePermit};
use yadokari_image::{Descriptor, Digest, Reference, Repository};
use yadokari_registry::{Reader, Source};
use yadokari_store::Blob;

use crate::events::{Event, Events};
use crate::meter::Metered;
use crate::trace::beside_span;

/// The transfers of a build.
pub(crate) struct Transfers {
    events: Arc<dyn Events>,
    /// The span of the whole build.
    span: tracing::Span,
    /// Numbers transfers in events.
    next: AtomicU64,
    /// Bounds how many layers are pushed at the same time, since each has buffers of its own.
    uploads: Semaphore,
}

impl fmt::Debug for Transfers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfers").finish_non_exhaustive()
    }
}

impl Transfers {
    /// Transfers of which so many are uploads at a time.
    pub(crate) fn new(events: Arc<dyn Events>, span: tracing::Span, uploads: usize) -> Self {
        Self {
            events,
            span,
            next: AtomicU64::new(0),
            uploads: Semaphore::new(uploads),
        }
    }

    /// A layer that is pulled from now on.
    pub(crate) fn pull(&self, from: &Reference, layer: &Descriptor) -> Transfer {
        let label = format!("pulling {} {}", from.familiar(), short(layer.digest));
        self.start(&label, layer.size)
    }

    /// A layer that is pushed if the registry wants it.
    pub(crate) fn push<'a>(&'a self, to: &'a Repository, blob: &'a Blob) -> Outgoing<'a> {
        Outgoing {
            transfers: self,
            repository: to,
            blob,
            transfer: OnceLock::new(),
        }
    }

    /// Waits until a layer may be pushed.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.uploads.acquire().await.ok()
    }

    fn start(&self, label: &str, total: u64) -> Transfer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.events.on(Event::TransferStarted { id, label, total });
        Transfer {
            events: Arc::clone(&self.events),
            id,
            _span: beside_span!(self, "transfer", "{label}"),
        }
    }
}

/// A transfer that is told as it goes, and ends when it is dropped.
pub(crate) struct Transfer {
    events: Arc<dyn Events>,
    id: u64,
    _span: tracing::Span,
}

impl Transfer {
    /// Counts the bytes that a reader gives; the transfer ends with the reader.
    pub(crate) fn watch<R>(self, reader: R) -> Metered<R, Self> {
        let report = self.report(0);
        Metered::new(reader, self, report)
    }

    fn report(&self, offset: u64) -> impl Fn(u64) + Send + Sync + 'static {
        let (events, id) = (Arc::clone(&self.events), self.id);
        move |done| {
            let done = offset + done;
            events.on(Event::TransferProgress { id, done });
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.events.on(Event::TransferFinished { id: self.id });
    }
}

/// A layer that may be pushed: its transfer begins when a registry wants the first byte.
pub(crate) struct Outgoing<'a> {
    transfers: &'a Transfers,
    repository: &'a Repository,
    blob: &'a Blob,
    transfer: OnceLock<Transfer>,
}

impl Outgoing<'_> {
    fn transfer(&self) -> &Transfer {
        self.transfer.get_or_init(|| {
            let (registry, path) = (self.repository.registry(), self.repository.path());
            let label = format!("pushing {registry}/{path} {}", short(self.blob.digest));
            self.transfers.start(&label, self.blob.size)
        })
    }
}

impl Source for Outgoing<'_> {
    fn open(&self, offset: u64) -> BoxFuture<'_, std::io::Result<Reader>> {
        Box::pin(async move {
            let path: &PathBuf = &self.blob.path;
            let reader = path.open(offset).await?;
            let report = self.transfer().report(offset);
            Ok(Box::pin(Metered::new(reader, (), report)) as Reader)
        })
    }
}

/// The first digits of a digest, enough for people.
pub(crate) fn short(digest: Digest) -> String {
    digest.hex()[..12].to_owned()
}
