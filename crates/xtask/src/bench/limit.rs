//! The same bytes through the plainest tools: what a build cannot go below without doing less or doing it at once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yadokari_testkit::process;

use super::builder::{Bench, Sample};
use super::report::Row;
use super::workload::Workload;

/// Pulls the finished image of the cold build with `curl`, unpacks it with `tar`, and compresses it again with `pigz`.
pub(super) fn rows(bench: &Bench, workload: &Workload) -> Result<Vec<Row>> {
    let repository = format!("bench/yadokari-{}-0", workload.name);
    let endpoint = bench.registry.endpoint();
    let (_, manifest) = endpoint.manifest(&repository, "latest")?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let folder = tempfile::tempdir_in(bench.scratch.path())?;
    let mut took = [Duration::ZERO; 3];
    for layer in manifest["layers"].as_array().context("no layers")? {
        let digest = layer["digest"].as_str().context("no digest")?;
        let blob = folder.path().join(digest);
        let url = endpoint.url(&format!("{repository}/blobs/{digest}"));
        took[0] += clock(
            Command::new("curl")
                .args(["-sSfL", "-o"])
                .arg(&blob)
                .arg(url),
        )?;
        let root = folder.path().join("root");
        std::fs::create_dir_all(&root)?;
        took[1] += clock(
            Command::new("tar")
                .arg("-xzf")
                .arg(&blob)
                .arg("-C")
                .arg(&root),
        )?;
        took[2] += compress(&blob)?;
        std::fs::remove_file(&blob)?;
    }
    let names = ["curl", "tar -xzf", "pigz"];
    let row = |(name, wall)| {
        let sample = Sample { wall, peak: None };
        Row::of(workload.name, "limit", name, &[sample])
    };
    Ok(names.into_iter().zip(took).filter_map(row).collect())
}

fn clock(command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    process::run(command)?;
    Ok(start.elapsed())
}

/// Compresses the archive inside a layer; unpacking it first is not counted.
fn compress(blob: &Path) -> Result<Duration> {
    if !process::exists("pigz") {
        return Ok(Duration::ZERO);
    }
    let archive = blob.with_extension("tar");
    let plain = Command::new("gzip")
        .arg("-dc")
        .arg(blob)
        .stdout(std::fs::File::create(&archive)?)
        .status()?;
    ensure!(plain.success(), "gzip cannot read {}", blob.display());
    let start = Instant::now();
    let packed = Command::new("pigz")
        .arg("-c")
        .arg(&archive)
        .stdout(Stdio::null())
        .status()?;
    let took = start.elapsed();
    ensure!(packed.success(), "pigz failed");
    std::fs::remove_file(&archive)?;
    Ok(took)
}
