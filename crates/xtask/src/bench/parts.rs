//! The parts of a build that plain tools do as well: compressing beside `pigz` and `zstd`, pulling and unpacking beside
//! `curl` and `tar`; and what the program takes to start.
//!
//! Our times are those of the spans in a trace, so they include what a tool does not do: digests of both sides, and
//! checks of what an archive may do. Both have the same registry and write to the same filesystem.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use yadokari_testkit::{base, executor, process};

use super::traced::Ground;

/// Measures every part, prints the table, and writes it to `file` if one is named.
pub(super) fn run(runs: usize, file: Option<&Path>) -> Result<()> {
    let ground = Ground::new(&base::debian()?, "library/debian", base::SUITE)?;
    let archive = archive(&ground)?;
    println!(
        "{:<32} {:>9} {:>10} {:>10} {:>7}",
        "part", "bytes", "ours", "tool", "ratio"
    );
    let mut rows = Vec::new();
    for tool in TOOLS.iter().filter(|tool| process::exists(tool.words[0])) {
        rows.push(compressed(&ground, &archive, tool, runs)?);
    }
    for (name, reference) in [
        ("the Debian base", format!("debian:{}", base::SUITE)),
        ("50,000 files", many_files(&ground)?),
    ] {
        rows.push(unpacked(&ground, name, &reference, runs)?);
    }
    if let Some(file) = file {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        fs::write(file, format!("{:#}\n", Value::from(rows)))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    start(&executor::path()?)?;
    let slow: Vec<_> = rows.iter().filter_map(Row::beyond).collect();
    ensure!(slow.is_empty(), "{}", slow.join("\n"));
    Ok(())
}

/// A program that compresses standard input, and the flags that make ours do the same.
struct Tool {
    words: &'static [&'static str],
    flags: &'static [&'static str],
}

const TOOLS: [Tool; 4] = [
    Tool {
        words: &["pigz", "-6"],
        flags: &["--compression=gzip", "--compression-level=6"],
    },
    Tool {
        words: &["pigz", "-1"],
        flags: &["--compression=gzip", "--compression-level=1"],
    },
    Tool {
        words: &["zstd", "-q", "-T0", "-3"],
        flags: &["--compression=zstd", "--compression-level=3"],
    },
    Tool {
        words: &["zstd", "-q", "-T0", "-9"],
        flags: &["--compression=zstd", "--compression-level=9"],
    },
];

/// One part, by us and by a tool.
struct Row {
    part: String,
    bytes: u64,
    ours: Duration,
    tool: Duration,
    /// How much of the tool's time is too much.
    most: f64,
}

impl Row {
    fn of(part: String, bytes: u64, samples: Vec<(Duration, Duration)>, most: f64) -> Self {
        let (ours, tool): (Vec<_>, Vec<_>) = samples.into_iter().unzip();
        let row = Self {
            part,
            bytes,
            ours: median(ours),
            tool: median(tool),
            most,
        };
        println!(
            "{:<32} {:>5} MiB {:>8.2} s {:>8.2} s {:>7.2}",
            row.part,
            row.bytes >> 20,
            row.ours.as_secs_f64(),
            row.tool.as_secs_f64(),
            row.ratio()
        );
        row
    }

    fn ratio(&self) -> f64 {
        self.ours.as_secs_f64() / self.tool.as_secs_f64()
    }

    fn beyond(&self) -> Option<String> {
        let (part, ratio, most) = (&self.part, self.ratio(), self.most);
        (ratio > most).then(|| format!("{part} takes {ratio:.2} of the tool's time, not {most}"))
    }

    fn json(&self) -> Value {
        json!({
            "part": self.part,
            "bytes": self.bytes,
            "seconds": self.ours.as_secs_f64(),
            "tool_seconds": self.tool.as_secs_f64(),
        })
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// What it takes to say the version, median of twenty.
fn start(program: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        process::run(Command::new(program).arg("version"))?;
        times.push(start.elapsed());
    }
    let took = median(times);
    println!("start: {:.1} ms", took.as_secs_f64() * 1e3);
    ensure!(took < LONGEST_START, "starting takes {took:?}");
    Ok(())
}

const LONGEST_START: Duration = Duration::from_millis(20);

/// A context that holds one file: the archive inside the Debian base's layer.
fn archive(ground: &Ground) -> Result<PathBuf> {
    let context = ground.scratch.path().join("archive");
    fs::create_dir(&context)?;
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY base.tar /\n",
    )?;
    let debian = base::debian()?;
    let layers = debian.image()?.layers();
    let layer = layers.first().context("the Debian base has no layer")?;
    let mut file = File::create(context.join("base.tar"))?;
    std::io::copy(&mut debian.open_layer(layer)?, &mut file)?;
    Ok(context)
}

fn compressed(ground: &Ground, context: &Path, tool: &Tool, runs: usize) -> Result<Row> {
    let archive = context.join("base.tar");
    let bytes = fs::metadata(&archive)?.len();
    let place = ground.scratch.path().join("compressed");
    let image = format!("--oci-layout={}", place.display());
    let mut samples = Vec::new();
    for _ in 0..runs {
        let flags = [&["--no-push", &image], tool.flags].concat();
        let build = ground.build(context, &flags)?;
        let ours = build.extent("compress").context("nothing was compressed")?;
        fs::remove_dir_all(&place)?;
        let start = Instant::now();
        let status = Command::new(tool.words[0])
            .args(&tool.words[1..])
            .stdin(File::open(&archive)?)
            .stdout(File::create(&place)?)
            .status()?;
        samples.push((ours, start.elapsed()));
        ensure!(status.success(), "{:?} failed: {status}", tool.words);
        fs::remove_file(&place)?;
    }
    Ok(Row::of(tool.words.join(" "), bytes, samples, 1.1))
}

/// Pushes an image of many small files, and gives its name.
fn many_files(ground: &Ground) -> Result<String> {
    let context = ground.context(50_000)?;
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY files /srv/files\n",
    )?;
    let name = format!("{}/bench/files:latest", ground.registry.address());
    ground.build(&context, &["--push", "--tag", &name])?;
    Ok(name)
}

/// Pulls and unpacks an image's layers for a command, and with `curl` and `tar`.
fn unpacked(ground: &Ground, name: &str, reference: &str, runs: usize) -> Result<Row> {
    let context = ground.scratch.path().join("unpacked");
    fs::create_dir_all(&context)?;
    // Busybox of the build's own, since not every image has a command.
    fs::copy(base::busybox_binary()?, context.join("busybox"))?;
    fs::write(
        context.join("Dockerfile"),
        format!("FROM {reference}\nRUN --mount=target=/mnt [\"/mnt/busybox\", \"true\"]\n"),
    )?;
    let repository = match reference.contains('/') {
        true => "bench/files",
        false => "library/debian",
    };
    let endpoint = ground.registry.endpoint();
    let tag = reference.rsplit(':').next().unwrap_or_default();
    let (_, manifest) = endpoint.manifest(repository, tag)?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let (mut script, mut bytes) = (String::from("set -e\n"), 0);
    for layer in manifest["layers"].as_array().context("no layers")? {
        let digest = layer["digest"].as_str().context("no digest")?;
        let url = endpoint.url(&format!("{repository}/blobs/{digest}"));
        script.push_str(&format!("curl -sSfL {url} | tar -xzf -\n"));
        bytes += layer["size"].as_u64().unwrap_or_default();
    }
    let root = ground.scratch.path().join("root");
    let mut samples = Vec::new();
    for _ in 0..runs {
        let build = ground.build(&context, &["--no-push"])?;
        let ours = build.extent("unpack").context("nothing was unpacked")?;
        fs::create_dir(&root)?;
        let start = Instant::now();
        process::run(Command::new("sh").args(["-c", &script]).current_dir(&root))?;
        samples.push((ours, start.elapsed()));
        fs::remove_dir_all(&root)?;
    }
    Ok(Row::of(
        format!("curl | tar -xz, {name}"),
        bytes,
        samples,
        1.0,
    ))
}
