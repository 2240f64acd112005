//! What every builder is asked to do.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;
use yadokari_testkit::{Docker, Registry};

/// The servers that all builders work with.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) docker: Docker,
    pub(super) registry: Registry,
    /// Contexts and results of this run.
    pub(super) scratch: TempDir,
}

/// One build.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) wall: Duration,
    /// Peak resident memory of the process that builds, in bytes, where one process does.
    pub(super) peak: Option<u64>,
}

/// A program that builds an image from a directory with a Dockerfile, and pushes it.
pub(super) trait Builder {
    /// How the table calls it.
    fn name(&self) -> &'static str;

    /// Drops everything it kept of earlier builds, but not base images that it holds.
    ///
    /// # Errors
    ///
    /// If it cannot.
    fn forget(&self, _bench: &Bench) -> Result<()> {
        Ok(())
    }

    /// Builds and pushes to the repository `bench/NAME`, with what it remembers of NAME as cache.
    ///
    /// # Errors
    ///
    /// If the build fails.
    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample>;
}

/// Takes the time of something that has no memory of interest.
pub(super) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Sample> {
    let start = Instant::now();
    work()?;
    Ok(Sample {
        wall: start.elapsed(),
        peak: None,
    })
}
