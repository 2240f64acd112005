//! What finding a change costs: commands that touch one file, on roots of many.
//!
//! Our executor builds on this machine, once for each way to find changes, and its trace says how long each
//! search took. Beside them stands one walk over as many files by `find`. An overlay takes a private mount and a
//! filesystem that can hold an upper directory, so this needs root.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use yadokari_testkit::base;

use super::traced::Ground;

/// Measures roots of all sizes, prints the table, and writes it to `file` if one is named.
pub(super) fn run(file: Option<&Path>) -> Result<()> {
    let ground = Ground::new(&base::busybox()?, "library/busybox", "latest")?;
    let (mut rows, mut beyond) = (Vec::new(), Vec::new());
    println!(
        "{:>8} {:<8} {:>12} {:>12} {:>8} {:>9}",
        "files", "method", "median", "slowest", "of find", "peak"
    );
    for files in SIZES {
        let context = ground.context(files)?;
        let find = Row::of(files, "find", find(&context.join("files"))?, None);
        println!("{}", find.line(&find));
        for method in ["overlay", "scan"] {
            let (times, peak) = build(&ground, &context, method)?;
            let row = Row::of(files, method, times, peak);
            println!("{}", row.line(&find));
            beyond.extend(row.beyond(&find));
            rows.push(row.json());
        }
        rows.push(find.json());
    }
    if let Some(file) = file {
        fs::write(file, format!("{:#}\n", Value::from(rows)))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    ensure!(beyond.is_empty(), "{}", beyond.join("\n"));
    Ok(())
}

/// How many files the roots have.
const SIZES: [usize; 2] = [60_000, 700_000];
/// A search may take this much longer than one walk by `find`.
const MOST_OF_FIND: u32 = 2;
/// What the executor may take at its peak, in bytes.
const MOST_MEMORY: u64 = 300 << 20;
/// How many commands touch a file.
const COMMANDS: usize = 20;

/// Builds with a way to find changes; gives how long each search took, and the peak of memory in bytes.
fn build(ground: &Ground, context: &Path, method: &str) -> Result<(Vec<Duration>, Option<u64>)> {
    let runs = (0..COMMANDS).map(|number| format!("RUN echo {number} > /etc/step{number}\n"));
    // The first command finds a root that nobody has looked at.
    let dockerfile = format!(
        "FROM busybox\nCOPY files /srv/files\nRUN mkdir -p /etc\n{}",
        runs.collect::<String>()
    );
    fs::write(context.join("Dockerfile"), dockerfile)?;
    let build = ground.build(context, &["--no-push", &format!("--snapshot={method}")])?;
    let searches: Vec<_> = build.spans("snapshot").into_iter().skip(1).collect();
    ensure!(
        searches.len() == COMMANDS,
        "the trace has {} searches",
        searches.len()
    );
    Ok((searches, build.peak))
}

/// How long `find` takes to look at every file, three times over.
fn find(directory: &Path) -> Result<Vec<Duration>> {
    let walk = || {
        let start = Instant::now();
        let status = Command::new("find")
            .arg(directory)
            .args(["-xdev", "-printf", "%p %s %m %U %G %T@ %C@\\n"])
            .stdout(Stdio::null())
            .status()
            .context("cannot run find")?;
        ensure!(status.success(), "find failed: {status}");
        Ok(start.elapsed())
    };
    (0..3).map(|_| walk()).collect()
}

struct Row {
    files: usize,
    method: &'static str,
    median: Duration,
    slowest: Duration,
    peak: Option<u64>,
}

impl Row {
    fn of(files: usize, method: &'static str, mut times: Vec<Duration>, peak: Option<u64>) -> Self {
        times.sort();
        Self {
            files,
            method,
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
            slowest: times.last().copied().unwrap_or_default(),
            peak,
        }
    }

    fn line(&self, find: &Self) -> String {
        let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
        let peak = self
            .peak
            .map_or(String::new(), |bytes| format!("{} MiB", bytes >> 20));
        format!(
            "{:>8} {:<8} {:>12} {:>12} {:>8.3} {:>9}",
            self.files,
            self.method,
            milliseconds(self.median),
            milliseconds(self.slowest),
            self.median.as_secs_f64() / find.median.as_secs_f64(),
            peak
        )
    }

    /// What is more than a search may take beside `find`, or a build of that many files in memory.
    fn beyond(&self, find: &Self) -> Vec<String> {
        let (files, method) = (self.files, self.method);
        let slow = self.median > find.median * MOST_OF_FIND;
        let slow = slow.then(|| {
            format!("{method} of {files} files takes over {MOST_OF_FIND} times as long as find")
        });
        let peak = self.peak.filter(|peak| *peak > MOST_MEMORY);
        let large = peak.map(|peak| {
            let (peak, most) = (peak >> 20, MOST_MEMORY >> 20);
            format!("{method} of {files} files takes {peak} MiB of {most}")
        });
        slow.into_iter().chain(large).collect()
    }

    fn json(&self) -> Value {
        json!({
            "files": self.files,
            "method": self.method,
            "median_seconds": self.median.as_secs_f64(),
            "slowest_seconds": self.slowest.as_secs_f64(),
            "peak_bytes": self.peak,
        })
    }
}
