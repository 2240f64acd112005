//! `cargo xtask test`: the whole gate. The test runner comes last, so its summary is the last thing on the terminal.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use yadokari_testkit::{needs, process};

use crate::cargo::{cargo, line, run as run_command};
use crate::{deps, dist, packages, parity, soak};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to run; everything if nothing is named
    suites: Vec<Suite>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Format, lints, docs, the dependency table
    Checks,
    /// Tests that start no container, doc tests among them
    Unit,
    /// The executor end to end, in containers and on the machine
    Container,
    /// Recorded builds compared with their records
    Parity,
}

/// What runs where nothing is named.
const GATE: &[Suite] = &[Suite::Checks, Suite::Unit, Suite::Container, Suite::Parity];

/// The tests that start the built executor.
const CONTAINER_TESTS: &str = "package(yadokari-testkit) & binary(it)";

pub(crate) fn run(options: &Options) -> Result<()> {
    let suites = if options.suites.is_empty() {
        GATE
    } else {
        &options.suites
    };
    let has = |suite: Suite| suites.contains(&suite);
    packages::install()?;
    if has(Suite::Checks) {
        checks()?;
    }
    if has(Suite::Container) || has(Suite::Parity) {
        timed(
            "build the executor",
            || dist::run(&dist::Options::default()),
        )?;
    }
    if has(Suite::Container) && (needs::registry().is_ok() || std::env::var_os("CI").is_some()) {
        timed("a brief soak", || soak::run(&soak::Options::brief()))?;
    }
    if has(Suite::Parity) {
        timed("parity on the machine", || {
            parity::run(&parity::Options::machine())
        })?;
        if needs::docker().is_ok() || std::env::var_os("CI").is_some() {
            timed("parity in a container", || {
                parity::run(&parity::Options::container())
            })?;
        }
    }
    if has(Suite::Unit) {
        step(&mut cargo(&[
            "test",
            "--workspace",
            "--doc",
            "--locked",
            "--quiet",
        ]))?;
    }
    match (has(Suite::Unit), has(Suite::Container)) {
        (true, true) => tests(Part::All),
        (true, false) => tests(Part::Rest),
        (false, true) => tests(Part::Containers),
        (false, false) => Ok(()),
    }
}

/// Everything that runs no product code.
fn checks() -> Result<()> {
    step(&mut cargo(&["fmt", "--all", "--check"]))?;
    step(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    step(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    fuzz_targets()?;
    deps::run()
}

/// The fuzz targets compile. They are a workspace of their own, since libFuzzer is C++; its build goes where ours does.
fn fuzz_targets() -> Result<()> {
    step(&mut cargo(&[
        "clippy",
        "--manifest-path",
        "crates/fuzz/Cargo.toml",
        "--target-dir",
        "target/fuzz",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Which tests the runner runs.
#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    Containers,
    Rest,
}

/// Runs tests. Nothing is said after this: the output ends with the runner's own summary.
fn tests(part: Part) -> Result<()> {
    let mut command = if process::exists("cargo-nextest") {
        nextest(part)
    } else {
        cargo_test(part)
    };
    eprintln!("==> {}", line(&command));
    run_command(&mut command)
}

fn nextest(part: Part) -> Command {
    let mut command = cargo(&[
        "nextest",
        "run",
        "--workspace",
        "--locked",
        "--no-fail-fast",
    ]);
    match part {
        Part::All => &mut command,
        Part::Containers => command.args(["-E", CONTAINER_TESTS]),
        Part::Rest => command.args(["-E", &format!("not ({CONTAINER_TESTS})")]),
    };
    command
}

fn cargo_test(part: Part) -> Command {
    let mut command = cargo(&["test", "--locked", "--no-fail-fast", "--tests"]);
    match part {
        Part::All => command.arg("--workspace"),
        Part::Containers => command.args(["--package", "yadokari-testkit", "--test", "it"]),
        Part::Rest => command.args(["--workspace", "--exclude", "yadokari-testkit"]),
    };
    command
}

fn step(command: &mut Command) -> Result<()> {
    let name = line(command);
    timed(&name, || run_command(command))
}

/// Says what begins, and how long it took.
fn timed<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let start = Instant::now();
    let result = work()?;
    eprintln!("==> {:.0} s", start.elapsed().as_secs_f32());
    Ok(result)
}
