//! A private Docker daemon, and unprivileged containers in it.

mod container;
mod images;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

pub use container::{Container, Running, Spec};
pub use images::Flavour;

use crate::endpoint::{Endpoint, Login};
use crate::process::{self, Server};

/// A `dockerd` with state of its own, reached through a private socket; it stops when dropped.
///
/// It makes no bridge and no firewall rule: containers use the machine's network. Otherwise containers are as
/// `docker run` makes them, with the default capabilities and the default seccomp profile.
#[derive(Debug)]
pub struct Docker {
    server: Option<Server>,
    scratch: TempDir,
}

impl Docker {
    /// Starts a daemon and waits until it answers.
    ///
    /// # Errors
    ///
    /// If something that [`needs::docker`](crate::needs::docker) names is missing or fails.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a daemon whose containers have user namespaces: their user 0 is nobody outside.
    ///
    /// # Errors
    ///
    /// As [`Docker::start`]. The daemon makes the account `dockremap` if there is none.
    pub fn with_user_namespaces() -> Result<Self> {
        Self::start_with(&["--userns-remap=default"])
    }

    /// Starts a daemon that keeps images and containers in `directory`, for a filesystem with limits of its own.
    ///
    /// # Errors
    ///
    /// As [`Docker::start`].
    pub fn with_data_in(directory: &Path) -> Result<Self> {
        Self::start_with(&[&format!("--data-root={}", directory.display())])
    }

    fn start_with(flags: &[&str]) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("ykd-").tempdir()?;
        let mut command = Command::new("dockerd");
        let flag =
            |name: &str, file: &str| format!("--{name}={}", scratch.path().join(file).display());
        command.args([flag("exec-root", "exec"), flag("pidfile", "pid")]);
        if !flags.iter().any(|given| given.starts_with("--data-root")) {
            command.arg(flag("data-root", "data"));
        }
        command.arg(format!("--host=unix://{}", socket(&scratch).display()));
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
            "--ip-forward=false",
        ]);
        command.args(flags);
        let server = Server::start(&mut command, &scratch.path().join("log"))?;
        let mut docker = Self {
            server: Some(server),
            scratch,
        };
        docker.wait_until_ready()?;
        Ok(docker)
    }

    /// A `docker` command line that speaks to this daemon, with a private client configuration.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.env(
            "DOCKER_HOST",
            format!("unix://{}", socket(&self.scratch).display()),
        );
        command.env("DOCKER_CONFIG", self.scratch.path().join("client"));
        command
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_TLS_VERIFY");
        command
    }

    /// Logs in to a registry, as its [`Endpoint`] demands it.
    ///
    /// # Errors
    ///
    /// If the registry refuses.
    pub fn login(&self, endpoint: &Endpoint) -> Result<()> {
        let Some(Login { user, password }) = &endpoint.login else {
            return Ok(());
        };
        process::run(
            self.command()
                .args(["login", "-u", user, "-p", password, &endpoint.address]),
        )
        .map(drop)
    }

    /// Pulls an image.
    ///
    /// # Errors
    ///
    /// If docker cannot.
    pub fn pull(&self, image: &str) -> Result<()> {
        process::run(self.command().args(["pull", "--quiet", image])).map(drop)
    }

    /// A container of an image, to be described further.
    #[must_use]
    pub fn container(&self, image: &str) -> Spec<'_> {
        Spec::new(self, image)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let socket = socket(&self.scratch);
        let mut version = self.command();
        version.args(["version", "--format", "{{.Server.Version}}"]);
        let server = self.server.as_mut().expect("the server was just started");
        server.wait_until(Duration::from_secs(60), || {
            socket.exists()
                && process::output(&mut version).is_ok_and(|output| output.status.success())
        })
    }

    /// Ends whatever containers are left, then the daemon, then its mounts.
    fn stop(&mut self) {
        if let Ok(ids) = process::run(self.command().args(["ps", "--all", "--quiet"])) {
            for id in ids.split_whitespace() {
                let _ = process::finish(self.command().args(["rm", "--force", "--volumes", id]));
            }
        }
        drop(self.server.take());
        for mount in mounts_below(self.scratch.path()) {
            let _ = rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.stop();
    }
}

fn socket(scratch: &TempDir) -> PathBuf {
    scratch.path().join("docker.sock")
}

/// The mount points below a directory, the deepest first.
fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    let mut below: Vec<PathBuf> = points
        .filter(|point| point.starts_with(directory))
        .collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    below
}
