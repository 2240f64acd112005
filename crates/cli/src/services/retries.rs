//! [`Retries`]: other servers are asked again as registries are.

use std::time::Duration;

use yadokari_context::{Patience, Setback};
use yadokari_registry::RetryPolicy;

/// The registries' policy, for contexts, Dockerfiles, the sources of ADD, digests and git.
#[derive(Debug)]
pub(super) struct Retries(pub(super) RetryPolicy);

impl Patience for Retries {
    fn wait(&self, attempt: u32, setback: Setback<'_>) -> Option<Duration> {
        match setback {
            Setback::Status { status, headers } => {
                self.0.wait_after_answer(attempt, status, headers)
            }
            Setback::Transfer(error) => self.0.wait_after_failure(attempt, error),
            Setback::Unreachable => self.0.wait_after_silence(attempt),
            _ => self.0.wait_after(attempt),
        }
    }
}
