//! What the field has: docker's builder, buildah, kaniko.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use yadokari_testkit::{base, process};

use super::builder::{Bench, Builder, Sample, timed};
use super::executor;

/// `docker build` and `docker push`, as root, with the base images in the daemon's own store.
#[derive(Debug)]
pub(super) struct DockerBuild;

impl Builder for DockerBuild {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn forget(&self, bench: &Bench) -> Result<()> {
        // An image of an earlier build is a cache to the next one.
        process::run(
            bench
                .docker
                .command()
                .args(["image", "prune", "--all", "--force"]),
        )?;
        for (name, tag) in [("busybox", "latest"), ("debian", base::SUITE)] {
            let stored = format!("{}/library/{name}:{tag}", bench.registry.address());
            bench.docker.pull(&stored)?;
            let alias = format!("{name}:{tag}");
            process::run(bench.docker.command().args(["tag", &stored, &alias]))?;
        }
        Ok(())
    }

    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample> {
        let tag = format!("{}/bench/{name}:latest", bench.registry.address());
        let mut build = bench.docker.command();
        build.args(["build", "--quiet", "--network=host", "--tag", &tag]);
        timed(|| {
            process::run(build.arg(context))?;
            process::run(bench.docker.command().args(["push", "--quiet", &tag])).map(drop)
        })
    }
}

/// `buildah bud` and `buildah push`, as root with overlayfs and a store of its own.
#[derive(Debug)]
pub(super) struct Buildah {
    storage: std::path::PathBuf,
}

impl Buildah {
    /// Buildah, if it is installed.
    pub(super) fn find(bench: &Bench) -> Option<Self> {
        process::exists("buildah").then(|| Self {
            storage: bench.scratch.path().join("buildah"),
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        for (flag, folder) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(flag).arg(self.storage.join(folder));
        }
        command.args(words);
        command
    }

    fn pull(&self, bench: &Bench, name: &str, tag: &str) -> Result<()> {
        let stored = format!("{}/library/{name}:{tag}", bench.registry.address());
        process::run(&mut self.command(&["pull", "--quiet", "--tls-verify=false", &stored]))?;
        let alias = format!("docker.io/library/{name}:{tag}");
        process::run(&mut self.command(&["tag", &stored, &alias])).map(drop)
    }
}

impl Builder for Buildah {
    fn name(&self) -> &'static str {
        "buildah"
    }

    fn forget(&self, bench: &Bench) -> Result<()> {
        process::run(&mut self.command(&["rmi", "--all", "--force"]))?;
        self.pull(bench, "busybox", "latest")?;
        self.pull(bench, "debian", base::SUITE)
    }

    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample> {
        let tag = format!("{}/bench/{name}:latest", bench.registry.address());
        let flags = [
            "bud",
            "--quiet",
            "--layers",
            "--network=host",
            "--isolation=chroot",
            "--pull=never",
        ];
        timed(|| {
            process::run(self.command(&flags).args(["--tag", &tag]).arg(context))?;
            process::run(&mut self.command(&["push", "--quiet", "--tls-verify=false", &tag]))
                .map(drop)
        })
    }
}

/// kaniko's executor, in the same kind of container as ours.
#[derive(Debug)]
pub(super) struct Kaniko<'b> {
    image: executor::Image<'b>,
}

impl<'b> Kaniko<'b> {
    pub(super) fn load(bench: &'b Bench, archive: &Path) -> Result<Self> {
        Ok(Self {
            image: executor::Image::keep(bench, &executor::load(bench, archive)?)?,
        })
    }
}

impl Builder for Kaniko<'_> {
    fn name(&self) -> &'static str {
        "kaniko"
    }

    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample> {
        let spec = bench.docker.container(&self.image.name);
        let words = executor::words(bench, name);
        let container = spec.volume(context, "/workspace").args(words).create()?;
        executor::run(&container)
    }
}
