//! `cargo xtask bench`: whole builds, ours and others', side by side in one run.
//!
//! Each workload is built from nothing and again with everything in the cache, by every builder that is there: our
//! executor in an unprivileged container, `docker build` with the daemon's own store, `buildah bud`, and a kaniko image
//! if one is named. Beside them stands what the same bytes take through `curl`, `tar` and `pigz`. Times drift from
//! machine to machine and run to run; what counts are the ratios of one run.

mod builder;
mod executor;
mod limit;
mod others;
mod parts;
mod report;
mod snapshot;
mod traced;
mod workload;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use yadokari_testkit::{Docker, Registry, base, executor as built, registry};

use builder::{Bench, Builder, Sample};
use report::{Report, Row};
use workload::{NAMES, Workload};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Workloads to build; all if none is named. `snapshot` and `parts` stand for themselves: what finding a change
    /// costs, and what compressing and unpacking take beside plain tools
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(NAMES.into_iter().chain([SNAPSHOT, PARTS])))]
    workloads: Vec<String>,
    /// Builds of each kind, of which the median counts
    #[arg(long, default_value_t = 1, value_name = "N")]
    runs: usize,
    /// Build with our executor alone
    #[arg(long)]
    alone: bool,
    /// Another docker to compare with, by the command that is its client: a newer one, whose builds BuildKit does. It has to
    /// take the registry of this run, on the loopback address, as an insecure one
    #[arg(long, value_name = "COMMAND")]
    docker: Option<PathBuf>,
    /// A kaniko executor's image, as an archive that `docker load` or `docker import` takes
    #[arg(long, value_name = "FILE")]
    kaniko: Option<PathBuf>,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep our executor's trace of every build in this directory
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.runs > 0, "--runs must be at least 1");
    let file = options.json.as_deref();
    match options
        .workloads
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()[..]
    {
        [SNAPSHOT] => return snapshot::run(file),
        [PARTS] => return parts::run(options.runs, file),
        ref names => ensure!(
            !names.iter().any(|name| [SNAPSHOT, PARTS].contains(name)),
            "{SNAPSHOT} and {PARTS} are measured alone"
        ),
    }
    let bench = prepare()?;
    let builders = builders(&bench, options)?;
    let mut report = Report::default();
    for workload in workload::chosen(&options.workloads)? {
        for builder in &builders {
            measure(&bench, &**builder, &workload, options.runs, &mut report)?;
        }
        for row in limit::rows(&bench, &workload)? {
            report.add(row);
        }
    }
    report.print();
    if let Some(file) = file {
        report.write(file)?;
    }
    report.check_memory()
}

/// What is measured without other builders.
const SNAPSHOT: &str = "snapshot";
const PARTS: &str = "parts";

/// Starts the servers and gives them the base images.
fn prepare() -> Result<Bench> {
    let registry = Registry::start(registry::Options::default())?;
    let endpoint = registry.endpoint();
    endpoint.push(&base::busybox()?, "library/busybox", "latest")?;
    endpoint.push(&base::debian()?, "library/debian", base::SUITE)?;
    Ok(Bench {
        docker: Docker::start()?,
        registry,
        scratch: tempfile::tempdir()?,
    })
}

fn builders<'b>(bench: &'b Bench, options: &Options) -> Result<Vec<Box<dyn Builder + 'b>>> {
    let traces = options.traces.clone();
    let ours = executor::Executor::new(bench, &built::path()?, traces)?;
    let mut builders: Vec<Box<dyn Builder>> = vec![Box::new(ours)];
    if options.alone {
        return Ok(builders);
    }
    builders.push(Box::new(executor::Executor::with_mounts(
        bench,
        &built::path()?,
    )?));
    builders.push(Box::new(others::DockerBuild::find(
        bench,
        options.docker.as_deref(),
    )));
    if let Some(buildah) = others::Buildah::find(bench) {
        builders.push(Box::new(buildah));
    }
    if let Some(archive) = &options.kaniko {
        builders.push(Box::new(others::Kaniko::load(bench, archive)?));
    }
    Ok(builders)
}

/// Builds a workload cold, then cached, then with one file changed; each as often as was asked for.
fn measure(
    bench: &Bench,
    builder: &dyn Builder,
    workload: &Workload,
    runs: usize,
    report: &mut Report,
) -> Result<()> {
    let place = workload.write(bench)?;
    let mut samples: [Vec<Sample>; 3] = Default::default();
    for run in 0..runs {
        let name = format!("{}-{}-{run}", builder.name(), workload.name);
        builder.forget(bench)?;
        samples[0].push(builder.build(bench, &place, &name)?);
        samples[1].push(builder.build(bench, &place, &name)?);
        if let Some(leaf) = &workload.leaf {
            std::fs::write(place.join(leaf), format!("changed in run {run}\n"))?;
            samples[2].push(builder.build(bench, &place, &name)?);
        }
    }
    for (kind, samples) in ["cold", "cached", "leaf"].into_iter().zip(samples) {
        if let Some(row) = Row::of(workload.name, kind, builder.name(), &samples) {
            report.add(row);
        }
    }
    Ok(())
}
