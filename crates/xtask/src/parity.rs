//! `cargo xtask parity`: recorded builds, made again and compared with their records.
//!
//! The suite is `crates/testkit/parity`; its README says what a case is and what is compared. Cases that differ on
//! purpose stand in `crates/testkit/parity-known.toml`, each with its reason. Any other difference is a failure, and
//! so is a listed case that no longer differs.

mod container;
mod known;
mod tally;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use yadokari_testkit::{Registry, base, cache, executor, process, registry};

use known::Known;
use tally::Tally;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only the cases whose name (topic/case) matches this pattern
    #[arg(long, default_value = "", value_name = "REGEX")]
    only: String,
    /// Cases at a time; always one in a container
    #[arg(short, long, default_value_t = 2)]
    jobs: usize,
    /// Write differences and logs of failing cases to this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the executor runs
    #[arg(long, value_enum, default_value_t = Place::Machine)]
    place: Place,
}

/// Where the executor runs, and so how it isolates a RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    /// On this machine, with namespaces and mounts
    Machine,
    /// In an unprivileged container, with neither
    Container,
}

impl Place {
    /// The section of the known differences that is for this place alone.
    fn section(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Container => "container",
        }
    }
}

impl Options {
    /// All cases, with namespaces and mounts.
    pub(crate) fn machine() -> Self {
        Self {
            only: String::new(),
            jobs: 2,
            out: None,
            place: Place::Machine,
        }
    }

    /// All cases that an unprivileged container can do.
    pub(crate) fn container() -> Self {
        Self {
            place: Place::Container,
            ..Self::machine()
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let list = cache::workspace().join("crates/testkit/parity-known.toml");
    let known = Known::read(&list, options.place.section())?;
    let executor = executor::path()?;
    let registry = Registry::start(registry::Options::default())?;
    push_bases(&registry)?;
    let tally = match options.place {
        Place::Machine => {
            // Cache mounts outlive a build; the cases expect that none of another run is there.
            let state = tempfile::tempdir_in(cache::target())?;
            let line = build_line(&executor.to_string_lossy(), &registry.address());
            let line = format!("{line} --state-dir {}", state.path().display());
            tally_of(suite(&line, options).args(["-j", &options.jobs.to_string()]))?
        }
        Place::Container => container::run(&executor, &registry, options)?,
    };
    tally.report(&known)
}

/// The suite's folder.
fn folder() -> PathBuf {
    cache::workspace().join("crates/testkit/parity")
}

/// Pushes the suite's base images.
fn push_bases(registry: &Registry) -> Result<()> {
    let mut command = Command::new("python3");
    command
        .arg(folder().join("bases.py"))
        .arg(base::busybox_binary()?)
        .arg(registry.address());
    process::run(command.env("PYTHONDONTWRITEBYTECODE", "1")).map(drop)
}

/// The suite's own runner with our command line in it.
fn suite(line: &str, options: &Options) -> Command {
    let mut command = Command::new("python3");
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(folder().join("run.py"));
    command.args(["--cmd", line, "--only", &options.only]);
    if let Some(out) = &options.out {
        command.arg("--out").arg(out);
    }
    command
}

fn build_line(executor: &str, mirror: &str) -> String {
    format!(
        "{executor} build {{flags}} {{check}} -f {{dockerfile}} --registry-mirror {mirror} \
         --output type=oci,tar=false,dest={{layout}}{{output}} {{context}}"
    )
}

/// Runs the suite, showing its lines as they come, and counts them.
fn tally_of(command: &mut Command) -> Result<Tally> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let output = std::io::BufReader::new(child.stdout.take().context("no output")?);
    let tally = Tally::read(output, |line| println!("{line}"))?;
    let _one_if_a_case_failed = child.wait()?;
    ensure!(tally.total() > 0, "no case ran");
    Ok(tally)
}
