//! Our executor, and kaniko's: a fresh unprivileged container for each build.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use yadokari_testkit::docker::{Container, Flavour};
use yadokari_testkit::process;

use super::builder::{Bench, Builder, Sample};
use super::report::OURS;

/// Our executor in our own image.
#[derive(Debug)]
pub(super) struct Executor<'b> {
    image: Image<'b>,
    /// What its container may do besides.
    flags: &'static [&'static str],
    name: &'static str,
    traces: Option<PathBuf>,
}

/// An image that is used, and so not pruned with what other builders leave.
#[derive(Debug)]
pub(super) struct Image<'b> {
    pub(super) name: String,
    _user: Container<'b>,
}

impl<'b> Image<'b> {
    pub(super) fn keep(bench: &'b Bench, name: &str) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            _user: bench.docker.container(name).create()?,
        })
    }
}

impl<'b> Executor<'b> {
    /// In a container as CI jobs have it.
    pub(super) fn new(bench: &'b Bench, program: &Path, traces: Option<PathBuf>) -> Result<Self> {
        if let Some(directory) = &traces {
            std::fs::create_dir_all(directory)?;
        }
        let image = bench.docker.executor_image(program, Flavour::Executor)?;
        Ok(Self {
            image: Image::keep(bench, image)?,
            flags: &[],
            name: OURS[0],
            traces: traces.map(std::path::absolute).transpose()?,
        })
    }

    /// In a container that lets it mount, so that commands of several stages run at the same time.
    pub(super) fn with_mounts(bench: &'b Bench, program: &Path) -> Result<Self> {
        Ok(Self {
            flags: &[
                "--cap-add=SYS_ADMIN",
                "--security-opt=seccomp=unconfined",
                "--security-opt=apparmor=unconfined",
            ],
            name: OURS[1],
            ..Self::new(bench, program, None)?
        })
    }
}

impl Builder for Executor<'_> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample> {
        let mut spec = bench.docker.container(&self.image.name);
        for flag in self.flags {
            spec = spec.flag(flag);
        }
        let mut words = words(bench, name);
        words.push("--cache-copy-layers".into());
        if let Some(directory) = &self.traces {
            let file = free_name(directory, name);
            spec = spec.volume(directory, "/traces");
            words.push(format!("--trace=/traces/{file}"));
        }
        let container = spec.volume(context, "/workspace").args(words).create()?;
        run(&container)
    }
}

/// The command line that both executors understand.
pub(super) fn words(bench: &Bench, name: &str) -> Vec<String> {
    let registry = bench.registry.address();
    vec![
        "--context=dir:///workspace".into(),
        "--dockerfile=/workspace/Dockerfile".into(),
        format!("--destination={registry}/bench/{name}:latest"),
        format!("--registry-mirror={registry}"),
        "--insecure".into(),
        "--insecure-pull".into(),
        "--cache".into(),
        format!("--cache-repo={registry}/bench/{name}/cache"),
    ]
}

/// Runs a container to its end, watching the memory of its first process.
pub(super) fn run(container: &Container<'_>) -> Result<Sample> {
    let start = Instant::now();
    let running = container.attach()?;
    let ended = AtomicBool::new(false);
    let (finished, wall, peak) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch(container, &ended));
        let finished = running.wait();
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        (
            finished,
            wall,
            watch.join().expect("watching does not panic"),
        )
    });
    let finished = finished?;
    ensure!(
        finished.status == 0,
        "the build failed:\n{}",
        finished.output
    );
    Ok(Sample { wall, peak })
}

/// The highest resident memory of the first process of a container, in bytes, until it ends.
fn watch(container: &Container<'_>, ended: &AtomicBool) -> Option<u64> {
    let mut process = None;
    let mut peak = None;
    while !ended.load(Ordering::Relaxed) {
        process = process.or_else(|| container.process().ok());
        if let Some(id) = process
            && let Ok(high) = high_water(id)
        {
            peak = peak.max(Some(high));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    peak
}

/// The highest resident memory of a process so far, in bytes.
pub(super) fn high_water(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|text| text.trim().strip_suffix(" kB"));
    Ok(number.context("no VmHWM")?.parse::<u64>()? * 1024)
}

/// A file name that no earlier build has taken.
fn free_name(directory: &Path, name: &str) -> String {
    let names = (0..).map(|number| format!("{name}-{number}.json"));
    names
        .into_iter()
        .find(|name| !directory.join(name).exists())
        .expect("numbers do not end")
}

/// Loads an image from an archive and gives its name.
pub(super) fn load(bench: &Bench, archive: &Path) -> Result<String> {
    let said = process::run(bench.docker.command().arg("load").arg("-i").arg(archive))?;
    match said
        .lines()
        .find_map(|line| line.strip_prefix("Loaded image: "))
    {
        Some(name) => Ok(name.to_owned()),
        None => bail!(
            "docker load did not name the image in {}",
            archive.display()
        ),
    }
}
