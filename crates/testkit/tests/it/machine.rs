//! The executor on a machine, without a container around it.

mod equal;
mod examples;
mod ordinary;
mod outputs;
mod root;

use std::path::Path;
use std::process::Command;

use yadokari_testkit::{Mirror, Registry, executor, registry};

/// A mirror with busybox, and a registry to push to.
struct Place {
    mirror: Mirror,
    registry: Registry,
}

impl Place {
    fn new() -> Self {
        let registry = Registry::start(registry::Options::default()).unwrap();
        Self {
            mirror: Mirror::busybox().unwrap(),
            registry,
        }
    }

    /// `yadokari build` with the mirror set and the state in a directory of its own.
    fn build(&self, state: &Path) -> Command {
        let mut command = Command::new(executor::path().unwrap());
        command
            .args([
                "build",
                "--registry-mirror",
                &self.mirror.address(),
                "--state-dir",
            ])
            .arg(state);
        command.env_remove("CI").env_remove("GITLAB_CI");
        command
    }
}
