//! The executor on a machine, without a container around it.

mod bake;
mod bases;
pub(crate) mod cache_mounts;
mod cached;
mod equal;
mod examples;
mod images;
mod languages;
mod messages;
mod mistakes;
mod newcomer;
mod ordinary;
mod outputs;
mod root;
mod screen;
mod told;
mod traced;
mod traffic;

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
        let mut command = self.yadokari("build");
        command
            .args(["--registry-mirror", &self.mirror.address(), "--state-dir"])
            .arg(state);
        command
    }

    /// A command of the executable, in surroundings that are no CI job.
    fn yadokari(&self, name: &str) -> Command {
        let mut command = Command::new(executor::path().unwrap());
        command.arg(name).env_remove("CI").env_remove("GITLAB_CI");
        command
    }
}
