//! What a build works with: chosen by the caller, passed as values.

use std::fmt;
use std::sync::Arc;

use yadokari_context::{GitTool, ObjectStores, Web};
use yadokari_registry::Client;
use yadokari_sandbox::{Cancel, Runner};

use crate::events::Events;
use crate::outputs::engine::Engine;
use crate::time::Clock;

/// Implementations of everything a build does outside itself.
#[derive(Clone)]
pub struct Services {
    /// Talks to registries.
    pub registry: Client,
    /// Where finished images are loaded, if that is wanted.
    pub engine: Option<Engine>,
    /// Downloads contexts, Dockerfiles and the sources of ADD, and sends digests.
    pub http: Web,
    /// Reads contexts from object stores.
    pub objects: ObjectStores,
    /// Checks out git repositories.
    pub git: GitTool,
    /// Runs commands.
    pub runner: Arc<dyn Runner>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears what happens.
    pub events: Arc<dyn Events>,
    /// Stops the build. A build that fails sets it, which ends the commands of other stages.
    pub cancel: Cancel,
    /// How many threads compress and scan.
    pub threads: usize,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("isolation", &self.runner.isolation())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
