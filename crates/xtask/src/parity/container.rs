//! The suite with the executor inside an unprivileged container.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use yadokari_testkit::docker::Flavour;
use yadokari_testkit::{Docker, Registry};

use super::tally::Tally;
use super::{Options, build_line, suite, tally_of};

/// Runs the suite here, and each build in one container that lives as long as the suite.
///
/// The container is made from our own image, since the swap of a root costs what the container's image weighs. Inputs
/// and outputs lie in a directory that has the same path on both sides; its name keeps it apart from what cases write.
/// One case runs at a time, since only one root can be in place.
pub(super) fn run(executor: &Path, registry: &Registry, options: &Options) -> Result<Tally> {
    let docker = Docker::start()?;
    let image = docker.executor_image(executor, Flavour::Debug)?;
    let shared = tempfile::Builder::new()
        .prefix("yadokari-parity-")
        .tempdir_in("/")?;
    let path = shared.path().to_string_lossy().into_owned();
    let container = docker
        .container(image)
        .volume(shared.path(), &path)
        .entrypoint("sleep")
        .args(["infinity"])
        .start()?;

    let line = build_line("yadokari", &registry.address());
    let mut command = suite(&format!("docker exec {} {line}", container.id()), options);
    reach(&docker, &mut command);
    command
        .args(["--lack", "mounts,namespaces", "-j", "1"])
        .env("TMPDIR", shared.path());
    tally_of(&mut command)
}

/// Lets the suite's own `docker` speak to the daemon.
fn reach(docker: &Docker, command: &mut Command) {
    for (name, value) in docker.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}
