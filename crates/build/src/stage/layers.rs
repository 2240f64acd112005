//! Layers of an image in the making: known, but not always here, and not always finished.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use yadokari_image::Reference;
use yadokari_store::Blob;

use crate::error::BuildError;
use crate::outputs::assemble::ImageLayer;

/// A layer that may still be compressed in the background.
#[derive(Clone)]
pub(crate) struct Layer {
    finished: Shared<BoxFuture<'static, Result<Arc<FinishedLayer>, BuildError>>>,
}

/// A layer whose digests are known.
#[derive(Debug)]
pub(crate) struct FinishedLayer {
    /// What the image says of it.
    pub(crate) listed: ImageLayer,
    /// Where its bytes are.
    pub(crate) place: Place,
}

/// Where a layer's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In the spool: made by this build, or downloaded.
    Spool(Blob),
    /// In a repository of a registry.
    Registry(Reference),
    /// In an OCI layout directory.
    Directory(PathBuf),
}

impl Layer {
    /// A layer that exists somewhere.
    pub(crate) fn existing(listed: ImageLayer, place: Place) -> Self {
        Self::from_future(std::future::ready(Ok(Arc::new(FinishedLayer {
            listed,
            place,
        }))))
    }

    /// A layer that a task is making.
    pub(crate) fn from_future(
        future: impl Future<Output = Result<Arc<FinishedLayer>, BuildError>> + Send + 'static,
    ) -> Self {
        Self {
            finished: future.boxed().shared(),
        }
    }

    /// Waits until the layer's digests are known.
    pub(crate) async fn finished(&self) -> Result<Arc<FinishedLayer>, BuildError> {
        self.finished.clone().await
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("finished", &self.finished.peek())
            .finish()
    }
}
