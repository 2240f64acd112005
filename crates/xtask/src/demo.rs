//! `cargo xtask demo`: one build from nothing to a pushed image, without root and without a public registry.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use yadokari_testkit::{EmbeddedRegistry, base, cache};

use crate::cargo::{line, run as run_command};
use crate::dist;

/// The port tried first, so that the line to type stays the same.
const PORT: u16 = 5080;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Keep the registry running until interrupted, for builds by hand
    #[arg(long)]
    serve: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let executor = dist::run(&dist::Options::default())?;
    let registry = start_registry()?;
    let address = registry.address();
    println!("registry: {address}, holding library/busybox made from Debian's busybox-static");

    let mut build = build_command(&executor, &address);
    println!("\n$ {}", line(&build));
    run_command(&mut build)?;
    show(&registry, "hello", "demo")?;

    println!("\nTo do it again by hand, while `cargo xtask demo --serve` runs:");
    println!("  {}", by_hand(&executor, &build));
    if options.serve {
        println!("The registry answers at {address}; interrupt to stop it.");
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

/// An embedded registry that holds the base image.
fn start_registry() -> Result<EmbeddedRegistry> {
    let storage = cache::directory().join("demo-registry");
    let registry = EmbeddedRegistry::start_in(&storage, PORT)
        .or_else(|_| EmbeddedRegistry::start_in(&storage, 0))?;
    registry.add(&base::busybox()?, "library/busybox", "latest")?;
    Ok(registry)
}

fn build_command(executor: &Path, address: &str) -> Command {
    let mut command = Command::new(executor);
    command.args([
        "build",
        "examples/hello",
        "--registry-mirror",
        address,
        "--push",
    ]);
    command
        .args(["--tag", &format!("{address}/hello:demo")])
        .current_dir(cache::workspace());
    command
}

/// The command with the executable's path from the workspace's top.
fn by_hand(executor: &Path, build: &Command) -> String {
    let shown = executor
        .strip_prefix(cache::workspace())
        .unwrap_or(executor)
        .display()
        .to_string();
    line(build).replacen("yadokari", &shown, 1)
}

/// Prints what the registry holds under a tag.
fn show(registry: &EmbeddedRegistry, repository: &str, tag: &str) -> Result<()> {
    let name = format!("{repository}:{tag}");
    let (digest, bytes) = registry
        .manifest(repository, tag)
        .with_context(|| format!("{name} was not pushed"))?;
    let manifest: Value = serde_json::from_slice(&bytes)?;
    println!("\n{}/{name}@{digest}", registry.address());
    for layer in manifest["layers"]
        .as_array()
        .context("a manifest without layers")?
    {
        let size = layer["size"].as_u64().unwrap_or_default();
        println!(
            "  {}  {:>10}",
            layer["digest"].as_str().unwrap_or_default(),
            human(size)
        );
    }
    Ok(())
}

fn human(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(
            [0, 999, 1_500, 2_000_000].map(human),
            ["0 B", "999 B", "1.5 kB", "2.0 MB"]
        );
    }

    #[test]
    fn the_line_to_type_starts_at_the_top_of_the_workspace() {
        let executor = cache::workspace().join("target/dist/yadokari");
        let build = build_command(&executor, "localhost:1");
        let expected = "target/dist/yadokari build examples/hello --registry-mirror localhost:1 --push --tag localhost:1/hello:demo";
        assert_eq!(by_hand(&executor, &build), expected);
    }
}
