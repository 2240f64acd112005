//! The table of a run, and the same as JSON.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::builder::Sample;

/// How the table calls our executor, where it has no privileges and where it may mount.
pub(super) const OURS: [&str; 2] = ["yadokari", "with-mounts"];

/// The most memory that a build of ours may take, in bytes.
const MOST_MEMORY: u64 = 128 << 20;

/// The medians of one kind of build by one builder.
#[derive(Debug)]
pub(super) struct Row {
    workload: &'static str,
    kind: &'static str,
    builder: &'static str,
    wall: Duration,
    peak: Option<u64>,
    runs: usize,
}

impl Row {
    /// The medians of the samples, if there are any; of memory the highest counts.
    pub(super) fn of(
        workload: &'static str,
        kind: &'static str,
        builder: &'static str,
        samples: &[Sample],
    ) -> Option<Self> {
        let mut times: Vec<Duration> = samples.iter().map(|sample| sample.wall).collect();
        times.sort();
        let wall = *times.get(times.len() / 2)?;
        Some(Self {
            workload,
            kind,
            builder,
            wall,
            peak: samples.iter().filter_map(|sample| sample.peak).max(),
            runs: samples.len(),
        })
    }

    fn line(&self, ours: Option<Duration>) -> String {
        let ratio = ours.map_or(String::new(), |ours| {
            format!("{:.2}", self.wall.as_secs_f64() / ours.as_secs_f64())
        });
        let peak = self
            .peak
            .map_or(String::new(), |bytes| format!("{} MiB", bytes >> 20));
        format!(
            "{:<9} {:<7} {:<11} {:>8.2} s {:>7} {:>9}",
            self.workload,
            self.kind,
            self.builder,
            self.wall.as_secs_f64(),
            ratio,
            peak
        )
    }

    fn json(&self, ours: Option<Duration>) -> Value {
        json!({
            "workload": self.workload,
            "kind": self.kind,
            "builder": self.builder,
            "seconds": self.wall.as_secs_f64(),
            "ratio": ours.map(|ours| self.wall.as_secs_f64() / ours.as_secs_f64()),
            "peak_bytes": self.peak,
            "runs": self.runs,
        })
    }
}

/// All rows of a run, printed as they come.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        eprintln!("{}", row.line(None));
        self.rows.push(row);
    }

    /// Prints the table; the last but one column is the time in units of ours.
    pub(super) fn print(&self) {
        println!(
            "{:<9} {:<7} {:<11} {:>10} {:>7} {:>9}",
            "workload", "kind", "builder", "median", "ratio", "peak"
        );
        for row in &self.rows {
            println!("{}", row.line(self.ours(row)));
        }
    }

    /// Writes the rows as a JSON array.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let rows = self.rows.iter().map(|row| row.json(self.ours(row)));
        let rows: Vec<Value> = rows.collect();
        std::fs::write(file, format!("{:#}\n", Value::from(rows)))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Refuses a build of ours that took more memory than any build may.
    pub(super) fn check_memory(&self) -> Result<()> {
        for row in &self.rows {
            let peak = row.peak.unwrap_or_default();
            ensure!(
                !OURS.contains(&row.builder) || peak < MOST_MEMORY,
                "{} {} took {} MiB of memory",
                row.workload,
                row.kind,
                peak >> 20
            );
        }
        Ok(())
    }

    /// What our executor takes for the same; limits stand beside its cold build.
    fn ours(&self, row: &Row) -> Option<Duration> {
        let kind = if row.kind == "limit" {
            "cold"
        } else {
            row.kind
        };
        let same = |other: &&Row| {
            other.workload == row.workload && other.kind == kind && other.builder == OURS[0]
        };
        self.rows.iter().find(same).map(|row| row.wall)
    }
}
