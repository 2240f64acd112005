//! The system packages that tests use.

use std::process::Command;

use anyhow::Result;
use yadokari_testkit::{needs, process};

use crate::cargo::run;

/// Programs that tests start; [`needs::package`] knows where each comes from.
const PROGRAMS: &[&str] = &[
    "bzip2",
    "curl",
    "docker-registry",
    "dockerd",
    "fish",
    "git",
    "groff",
    "htpasswd",
    "man",
    "mmdebstrap",
    "newuidmap",
    "npm",
    "openssl",
    "pgrep",
    "podman",
    "python3",
    "rsync",
    "script",
    "setfattr",
    "setpriv",
    "skopeo",
    "slirp4netns",
    "tmux",
    "umoci",
    "useradd",
    "xz",
    "zsh",
    "zstd",
];

/// Installs what is missing, or without root says what to install.
pub(crate) fn install() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    if needs::root().is_err() || needs::program("apt-get").is_err() {
        println!(
            "Some tests will be skipped. They need: apt-get install {}",
            missing.join(" ")
        );
        return Ok(());
    }
    run(apt().args(["--quiet", "update"]))?;
    run(apt()
        .args(["--quiet", "install", "--yes", "--no-install-recommends"])
        .args(missing))
}

/// The packages of the programs that are not there, and busybox if there is no static one.
fn missing() -> Vec<&'static str> {
    let absent = |program: &&&str| !process::exists(program);
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(absent)
        .map(|program| needs::package(program))
        .collect();
    if !["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .any(|path| std::path::Path::new(path).exists())
    {
        packages.push("busybox-static");
    }
    if needs::python_environments().is_err() {
        packages.push("python3-venv");
    }
    packages.dedup();
    packages
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
