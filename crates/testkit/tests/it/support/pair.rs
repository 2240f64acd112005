//! Jobs that share nothing but a cache repository, with what passes between them and their registries counted.

use std::path::Path;

use tempfile::TempDir;
use yadokari_testkit::docker::Spec;
use yadokari_testkit::process::Finished;
use yadokari_testkit::tap::{Behaviour, Counts};
use yadokari_testkit::{Tap, validate};

use super::job::{DEBUG, Ground, REPOSITORY};
use super::project::Project;
use super::steps::executed;

/// A project whose jobs reach the registry and the mirror of base images through taps.
pub(crate) struct Jobs {
    pub(crate) ground: Ground,
    pub(crate) project: Project,
    registry: Tap,
    mirror: Tap,
    /// A directory that jobs have as `/kept`, as CI systems carry one along.
    kept: TempDir,
}

/// A job that has ended.
pub(crate) struct Job {
    pub(crate) build: Finished,
    /// What passed between it and the project's registry.
    pub(crate) registry: Counts,
    /// What passed between it and the mirror.
    pub(crate) mirror: Counts,
}

impl Job {
    /// The names of the commands that ran.
    pub(crate) fn ran(&self) -> Vec<&str> {
        executed(&self.build)
    }

    /// Asserts that the output has these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        assert!(
            self.build.output.contains(words),
            "{words:?} is not in\n{}",
            self.build.output
        );
    }

    /// Requests of a kind, such as `GET blob`.
    pub(crate) fn asked(&self, kind: &str) -> u64 {
        self.registry
            .requests
            .get(kind)
            .copied()
            .unwrap_or_default()
    }
}

impl Jobs {
    /// A project with this Dockerfile.
    pub(crate) fn new(dockerfile: &str) -> Self {
        Self::behind(dockerfile, Behaviour::default())
    }

    /// The same, where the registry behaves like this.
    pub(crate) fn behind(dockerfile: &str, behaviour: Behaviour) -> Self {
        let ground = Ground::busybox();
        let mirror = ground.mirror.registry().port();
        Self {
            registry: Tap::start(ground.registry.port(), behaviour).unwrap(),
            mirror: Tap::start(mirror, Behaviour::default()).unwrap(),
            project: Project::new(dockerfile),
            kept: tempfile::tempdir().unwrap(),
            ground,
        }
    }

    /// Where the records of the project are.
    pub(crate) fn cache(&self) -> String {
        format!("{}/{REPOSITORY}/cache", self.registry.address())
    }

    /// The image that jobs push.
    pub(crate) fn image(&self) -> String {
        format!("{}/{REPOSITORY}:latest", self.registry.address())
    }

    /// The directory that jobs have as `/kept`.
    pub(crate) fn kept(&self) -> &Path {
        self.kept.path()
    }

    /// A job in a fresh container that builds and pushes with the project's cache.
    pub(crate) fn run(&self, flags: &[&str]) -> Job {
        let repository = format!("--cache-repo={}", self.cache());
        self.run_plain(&[&["--cache=true", &repository], flags].concat())
    }

    /// A job with no other flags but these.
    pub(crate) fn run_plain(&self, flags: &[&str]) -> Job {
        let _ = (self.registry.take_counts(), self.mirror.take_counts());
        let build = self.container(flags).run().unwrap().1.success();
        Job {
            build,
            registry: self.registry.take_counts(),
            mirror: self.mirror.take_counts(),
        }
    }

    /// The container of a job.
    pub(crate) fn container(&self, flags: &[&str]) -> Spec<'_> {
        let spec = self
            .ground
            .job_for(&self.project, DEBUG, &self.registry.address());
        let mirror = format!("--registry-mirror={}", self.mirror.address());
        spec.volume(self.kept.path(), "/kept")
            .entrypoint("/kaniko/executor")
            .args([
                "--context=/builds/group/project",
                &format!("--destination={}", self.image()),
                &mirror,
            ])
            .args(flags)
    }

    /// The layers of the image that was pushed last, which is checked.
    pub(crate) fn layers(&self) -> Vec<String> {
        let endpoint = self.ground.registry.endpoint();
        validate::pushed(&endpoint, REPOSITORY, "latest")
            .unwrap()
            .layers()
    }
}
