//! The project's chores: `cargo xtask <name>`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are programs for a terminal"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "these are programs: the environment steers them"
)]

mod bench;
mod cargo;
mod demo;
mod deps;
mod dist;
mod packages;
#[cfg(test)]
mod pages;
mod parity;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build the workloads with every builder that is there, and compare
    Bench(bench::Options),
    /// Check that crates depend on each other only as the table says
    Deps,
    /// Build examples/hello into an embedded registry and show what came out
    Demo(demo::Options),
    /// Build the static executable at `<target dir>/dist/yadokari`
    Dist(dist::Options),
    /// Build the recorded cases and compare them with their records
    Parity(parity::Options),
    /// Build many times against a registry that fails at random
    Soak(soak::Options),
    /// Run every check: format, lints, docs, dependencies, tests
    Test(test::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Deps => deps::run(),
        Chore::Demo(options) => demo::run(&options),
        Chore::Dist(options) => dist::run(&options).map(drop),
        Chore::Parity(options) => parity::run(&options),
        Chore::Soak(options) => soak::run(&options),
        Chore::Test(options) => test::run(&options),
    }
}
