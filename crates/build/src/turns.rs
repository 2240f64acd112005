//! What is done by a few at a time, however many stages and platforms there are.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may work now. Whoever has a turn gives it back by dropping it.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    packers: Arc<Semaphore>,
    unpackers: Option<Arc<Semaphore>>,
}

/// A turn, where turns are taken.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// Each takes all cores, and memory for each of them; the second has work while the first reads.
const PACKERS: usize = 2;

impl Turns {
    /// Where commands of several stages run at the same time or not.
    pub(crate) fn new(parallel: bool) -> Self {
        Self {
            packers: Arc::new(Semaphore::new(PACKERS)),
            unpackers: (!parallel).then(|| Arc::new(Semaphore::new(1))),
        }
    }

    /// Waits for the turn to compress a layer. What is packed depends on no other layer.
    pub(crate) async fn pack(&self) -> Turn {
        Arc::clone(&self.packers).acquire_owned().await.ok()
    }

    /// Waits for the turn to unpack a stage's root. Where commands take turns, roots do too: the first command need
    /// not wait until all roots are there, and later ones are unpacked while it runs.
    pub(crate) async fn unpack(&self) -> Turn {
        let turns = self.unpackers.clone()?;
        turns.acquire_owned().await.ok()
    }
}
