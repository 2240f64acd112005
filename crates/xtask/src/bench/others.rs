//! What the field has: docker's BuildKit, buildah, kaniko.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use yadokari_testkit::{base, process};

use super::builder::{Bench, Builder, Sample, timed};
use super::executor;

/// `docker build` and `docker push`, as root, with the base images in the daemon's own store.
#[derive(Debug)]
pub(super) struct DockerBuild {
    /// The command that reaches another daemon than the one of this run.
    client: Option<PathBuf>,
    /// Whether BuildKit does the building; docker's own old builder does where its client has no `buildx`.
    has_buildkit: bool,
}

impl DockerBuild {
    /// The docker of this run, or another one by its command.
    pub(super) fn find(bench: &Bench, client: Option<&Path>) -> Self {
        let mut docker = Self {
            client: client.map(Path::to_owned),
            has_buildkit: false,
        };
        let asked = process::run(docker.command(bench).args(["buildx", "version"]));
        docker.has_buildkit = asked.is_ok();
        docker
    }

    fn command(&self, bench: &Bench) -> Command {
        match &self.client {
            Some(client) => Command::new(client),
            None => bench.docker.command(),
        }
    }
}

impl Builder for DockerBuild {
    fn name(&self) -> &'static str {
        match self.has_buildkit {
            true => "buildkit",
            false => "docker",
        }
    }

    fn forget(&self, bench: &Bench) -> Result<()> {
        // An image of an earlier build is a cache to the next one, as what BuildKit keeps is.
        for kept in ["image", "builder"] {
            let prune = [kept, "prune", "--all", "--force"];
            process::run(self.command(bench).args(prune))?;
        }
        for (name, tag) in [("busybox", "latest"), ("debian", base::SUITE)] {
            let stored = format!("{}/library/{name}:{tag}", bench.registry.address());
            process::run(self.command(bench).args(["pull", "--quiet", &stored]))?;
            let alias = format!("{name}:{tag}");
            process::run(self.command(bench).args(["tag", &stored, &alias]))?;
        }
        Ok(())
    }

    fn build(&self, bench: &Bench, context: &Path, name: &str) -> Result<Sample> {
        let tag = format!("{}/bench/{name}:latest", bench.registry.address());
        let mut build = self.command(bench);
        build.args(["build", "--quiet", "--network=host", "--tag", &tag]);
        timed(|| {
            process::run(build.arg(context))?;
            process::run(self.command(bench).args(["push", "--quiet", &tag])).map(drop)
        })
    }
}

/// `buildah bud` and `buildah push`, as root with overlayfs and a store of its own.
#[derive(Debug)]
pub(super) struct Buildah {
    storage: PathBuf,
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
