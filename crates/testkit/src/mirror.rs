//! A read-only registry that stands in for Docker Hub.

use anyhow::Result;

use crate::base;
use crate::cache;
use crate::registry::{Options, Registry};

/// A mirror of `docker.io` with the base images of [`base`]: `library/busybox:latest`, and
/// `library/debian:bookworm` where it was asked for.
///
/// Its storage is filled once and kept; each test serves it with a process of its own.
#[derive(Debug)]
pub struct Mirror(Registry);

impl Mirror {
    /// Starts a mirror that holds busybox alone; quick, even the first time.
    ///
    /// # Errors
    ///
    /// If the image cannot be made or the registry not started.
    pub fn busybox() -> Result<Self> {
        let storage = cache::once("mirror-busybox", |storage| {
            let registry = Registry::start(Options {
                storage: Some(storage.into()),
                ..Options::default()
            })?;
            registry
                .endpoint()
                .push(&base::busybox()?, "library/busybox", "latest")
        })?;
        Self::serve(storage)
    }

    /// Starts a mirror that holds Debian too; the first time takes a minute and the network.
    ///
    /// # Errors
    ///
    /// If an image cannot be made or the registry not started.
    pub fn debian() -> Result<Self> {
        let storage = cache::once("mirror-debian", |storage| {
            let registry = Registry::start(Options {
                storage: Some(storage.into()),
                ..Options::default()
            })?;
            let endpoint = registry.endpoint();
            endpoint.push(&base::busybox()?, "library/busybox", "latest")?;
            endpoint.push(&base::debian()?, "library/debian", base::SUITE)
        })?;
        Self::serve(storage)
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.0.address()
    }

    /// The registry itself.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0
    }

    fn serve(storage: std::path::PathBuf) -> Result<Self> {
        Registry::start(Options {
            storage: Some(storage),
            read_only: true,
            ..Options::default()
        })
        .map(Self)
    }
}
