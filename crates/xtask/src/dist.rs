//! `cargo xtask dist`: the static executable.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use yadokari_testkit::{cache, executor, process};

use crate::cargo::{cargo, run as run_command};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The cargo profile to build with
    #[arg(long, default_value = "release")]
    profile: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: "release".into(),
        }
    }
}

/// Builds the executable, checks that it is static, puts it in its place, and says how large it is.
pub(crate) fn run(options: &Options) -> Result<PathBuf> {
    let target = host()?;
    build(&target, &options.profile)?;
    let folder = if options.profile == "dev" {
        "debug"
    } else {
        &options.profile
    };
    let built = cache::target().join(&target).join(folder).join("yadokari");
    let size = check(&built)?;
    ensure!(
        size < MOST_BYTES || options.profile != "release",
        "{} has {size} bytes, which is not below {MOST_BYTES}",
        built.display()
    );
    let place = cache::target().join("dist/yadokari");
    install(&built, &place)?;
    println!("{}: static, {:.1} MB", place.display(), size as f64 / 1e6);
    Ok(place)
}

/// The most bytes that a release may have. Other profiles are not shipped.
const MOST_BYTES: usize = 20_000_000;

/// The target triple of this machine.
fn host() -> Result<String> {
    let said = process::run(std::process::Command::new("rustc").arg("-vV"))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_string)
        .context("rustc does not say what its host is")
}

/// A named target keeps build scripts and procedural macros, which have to be dynamic, apart from the executable.
fn build(target: &str, profile: &str) -> Result<()> {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" -C target-feature=+crt-static");
    let mut command = cargo(&[
        "build",
        "--package",
        "yadokari",
        "--bin",
        "yadokari",
        "--locked",
    ]);
    run_command(
        command
            .args(["--target", target, "--profile", profile])
            .env("RUSTFLAGS", flags.trim()),
    )
}

/// The size of the executable, if it is static.
fn check(path: &std::path::Path) -> Result<usize> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        executor::is_static_elf(&bytes),
        "{} is not static: it names an interpreter",
        path.display()
    );
    Ok(bytes.len())
}

/// Puts a copy in place by renaming, since the old one may be running.
fn install(built: &std::path::Path, place: &std::path::Path) -> Result<()> {
    let fresh = place.with_extension("new");
    std::fs::create_dir_all(place.parent().context("a place without a parent")?)?;
    std::fs::copy(built, &fresh).with_context(|| format!("cannot write {}", fresh.display()))?;
    std::fs::rename(&fresh, place).with_context(|| format!("cannot write {}", place.display()))
}
