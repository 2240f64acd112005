//! A GitLab CI job: its predefined variables, its workspace, and the line in its `script:`.

use yadokari_testkit::docker::{Flavour, Spec};
use yadokari_testkit::process::Finished;
use yadokari_testkit::registry::Options;
use yadokari_testkit::{Docker, Login, Mirror, Registry, executor};

use super::project::Project;

/// The line that kaniko users have in their `.gitlab-ci.yml`, to the letter.
pub(crate) const SNIPPET: &str = r#"
/kaniko/executor --context "${CI_PROJECT_DIR}" --dockerfile "${CI_PROJECT_DIR}/Dockerfile" \
  --destination "${CI_REGISTRY_IMAGE}:${CI_COMMIT_SHA}" --destination "${CI_REGISTRY_IMAGE}:latest" \
  --cache=true --cache-repo="${CI_REGISTRY_IMAGE}/cache"
"#;

/// The commit that the job builds.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The repository of the project in the job's registry.
pub(crate) const REPOSITORY: &str = "group/project";

/// Where the job's workspace is mounted.
const WORKSPACE: &str = "/builds/group/project";

/// A daemon, a registry that wants a login, and a mirror: all that a job needs around it.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) docker: Docker,
    pub(crate) registry: Registry,
    pub(crate) mirror: Mirror,
}

impl Ground {
    /// Starts everything; `tls` is for the project's registry.
    pub(crate) fn new(mirror: Mirror, tls: bool) -> Self {
        let login = Login {
            user: "gitlab-ci-token".into(),
            password: "glcbt-64_token".into(),
        };
        let options = Options {
            login: Some(login),
            tls,
            ..Options::default()
        };
        let (docker, registry) = (Docker::start().unwrap(), Registry::start(options).unwrap());
        let executable = executor::path().unwrap();
        for flavour in [Flavour::Executor, Flavour::Debug] {
            docker.executor_image(&executable, flavour).unwrap();
        }
        Self {
            docker,
            registry,
            mirror,
        }
    }

    /// With busybox as the only base.
    pub(crate) fn busybox() -> Self {
        Self::new(Mirror::busybox().unwrap(), false)
    }

    /// With Debian too.
    pub(crate) fn debian() -> Self {
        Self::new(Mirror::debian().unwrap(), false)
    }

    /// A job's container: the project as its workspace, and nothing in the environment that GitLab does not set.
    pub(crate) fn job(&self, project: &Project, image: &str) -> Spec<'_> {
        self.job_for(project, image, &self.registry.address())
    }

    /// A job whose registry goes by this address.
    pub(crate) fn job_for(&self, project: &Project, image: &str, address: &str) -> Spec<'_> {
        let login = self.registry.login().unwrap();
        let variables = [
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_REF_NAME", "main"),
            ("CI_COMMIT_SHA", COMMIT),
            ("CI_COMMIT_SHORT_SHA", &COMMIT[..8]),
            ("CI_JOB_TOKEN", &login.password),
            ("CI_PROJECT_DIR", WORKSPACE),
            ("CI_PROJECT_PATH", REPOSITORY),
            ("CI_REGISTRY", address),
            ("CI_REGISTRY_IMAGE", &format!("{address}/{REPOSITORY}")),
            ("CI_REGISTRY_PASSWORD", &login.password),
            ("CI_REGISTRY_USER", &login.user),
            ("KANIKO_REGISTRY_MIRROR", &self.mirror.address()),
        ];
        let spec = self
            .docker
            .container(image)
            .volume(project.path(), WORKSPACE);
        variables
            .into_iter()
            .fold(spec, |spec, (name, value)| spec.env(name, value))
    }

    /// Runs the snippet in a fresh container with a shell.
    pub(crate) fn run_snippet(&self, project: &Project) -> Finished {
        let spec = self
            .job(project, DEBUG)
            .entrypoint("sh")
            .args(["-c", SNIPPET]);
        spec.run().unwrap().1
    }
}

/// The name of the image with nothing but the executor.
pub(crate) const EXECUTOR: &str = "yadokari:executor";

/// The name of the image with a shell.
pub(crate) const DEBUG: &str = "yadokari:debug";

/// What every test with a [`Ground`] needs.
macro_rules! skip_without_ground {
    () => {
        yadokari_testkit::skip_unless!(
            yadokari_testkit::needs::docker(),
            yadokari_testkit::needs::registry()
        );
    };
}

pub(crate) use skip_without_ground;
