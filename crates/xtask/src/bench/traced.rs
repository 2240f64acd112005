//! Builds of our executor on this machine, and what their traces say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use yadokari_testkit::{Layout, Registry, executor, needs, registry};

use super::executor::high_water;

/// A registry with a base image, and room for contexts.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) registry: Registry,
    pub(super) scratch: TempDir,
    program: PathBuf,
}

/// A build that ended well.
#[derive(Debug)]
pub(super) struct Traced {
    events: Vec<Value>,
    /// Peak resident memory, in bytes.
    pub(super) peak: Option<u64>,
}

impl Ground {
    /// Needs root, for mounts.
    pub(super) fn new(base: &Layout, name: &str, tag: &str) -> Result<Self> {
        needs::root().map_err(|lack| anyhow::anyhow!("{lack}"))?;
        let registry = Registry::start(registry::Options::default())?;
        registry.endpoint().push(base, name, tag)?;
        Ok(Self {
            registry,
            scratch: tempfile::tempdir()?,
            program: executor::path()?,
        })
    }

    /// Writes files to copy, a hundred in each directory, below `files`.
    pub(super) fn context(&self, files: usize) -> Result<PathBuf> {
        let context = self.scratch.path().join(files.to_string());
        for number in 0..files {
            let (group, directory) = (number / 10_000, number / 100 % 100);
            let directory = context.join(format!("files/{group}/{directory}"));
            if number.is_multiple_of(100) {
                fs::create_dir_all(&directory)?;
            }
            fs::write(
                directory.join(format!("file-{number}")),
                format!("{number}\n"),
            )?;
        }
        Ok(context)
    }

    /// Builds a context, with a state directory of its own.
    pub(super) fn build(&self, context: &Path, flags: &[&str]) -> Result<Traced> {
        let trace = self.scratch.path().join("trace.json");
        let state = tempfile::tempdir_in(self.scratch.path())?;
        let mut child = Command::new(&self.program)
            .args(["build", "--isolation=namespaces", "--insecure"])
            .arg(format!("--registry-mirror={}", self.registry.address()))
            .arg("--insecure-pull")
            .arg(format!("--state-dir={}", state.path().display()))
            .arg(format!("--trace={}", trace.display()))
            .args(flags)
            .arg(context)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let mut peak = None;
        let status = loop {
            peak = peak.max(high_water(child.id()).ok());
            match child.try_wait()? {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        ensure!(
            status.success(),
            "the build with {flags:?} failed: {status}"
        );
        let trace: Value = serde_json::from_slice(&fs::read(trace)?)?;
        let events = trace.get("traceEvents").unwrap_or(&trace).as_array();
        Ok(Traced {
            events: events.context("the trace is no list of events")?.clone(),
            peak,
        })
    }
}

impl Traced {
    /// How long each span of a kind took, in their order.
    pub(super) fn spans(&self, kind: &str) -> Vec<Duration> {
        let spans = self.of(kind).map(|(start, end)| end - start);
        spans.map(Duration::from_micros).collect()
    }

    /// From the first beginning to the last end of the spans of a kind.
    pub(super) fn extent(&self, kind: &str) -> Option<Duration> {
        let first = self.of(kind).map(|(start, _)| start).min()?;
        let last = self.of(kind).map(|(_, end)| end).max()?;
        Some(Duration::from_micros(last - first))
    }

    /// Beginnings and ends, in microseconds.
    fn of(&self, kind: &str) -> impl Iterator<Item = (u64, u64)> {
        let spans = self.events.iter().filter(move |event| event["cat"] == kind);
        spans.filter_map(|event| {
            let start = event["ts"].as_u64()?;
            Some((start, start + event["dur"].as_u64()?))
        })
    }
}
