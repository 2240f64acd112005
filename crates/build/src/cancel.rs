//! Stopping asynchronous work when the build is cancelled.

use std::future::Future;
use std::time::Duration;

use yadokari_sandbox::Cancel;

use crate::error::{BuildError, BuildErrorKind};

/// How often the switch is looked at; it is set by signal handlers, which can wake nobody.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs a future unless the switch is set first.
///
/// A command that runs is not abandoned: it watches the switch itself, and what it moved aside is put
/// back before this returns.
pub(crate) async fn unless_cancelled<T>(
    cancel: &Cancel,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    tokio::select! {
        done = work => done,
        () = cancelled(cancel) => Err(BuildErrorKind::Cancelled.into()),
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(INTERVAL).await;
    }
}
