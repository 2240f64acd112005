//! `examples/gitlab`, run as a runner would: by `gitlab-ci-local`, in unprivileged containers, against a registry that wants a
//! login.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use yadokari_testkit::process::{self, Finished};
use yadokari_testkit::{Mirror, cache, needs, skip_unless, validate};

use crate::support::job::{COMMIT, DEBUG, Ground, REPOSITORY};

/// The release that is used; later ones need a newer Node than Debian has.
const GITLAB_CI_LOCAL: &str = "gitlab-ci-local@4.60.0";

/// A copy of `examples/gitlab` in a git repository, and all that its jobs need around them.
struct Pipeline {
    ground: Ground,
    project: TempDir,
    helper: String,
}

impl Pipeline {
    fn new(tls: bool) -> Self {
        let ground = Ground::new(Mirror::debian().unwrap(), tls);
        let project = tempfile::tempdir().unwrap();
        let example = cache::workspace().join("examples/gitlab");
        run(Command::new("cp")
            .arg("-r")
            .arg(example.join("."))
            .arg(project.path()));
        for words in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &[
                "remote",
                "add",
                "origin",
                "git@gitlab.example.com:group/project.git",
            ],
            &["add", "."],
            &[
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.com",
                "commit",
                "--quiet",
                "-m",
                "a",
            ],
        ] {
            run(Command::new("git").args(words).current_dir(project.path()));
        }
        // It moves artifacts with bash.
        let helper = format!("{}/library/debian:bookworm", ground.mirror.address());
        ground.docker.pull(&helper).unwrap();
        Self {
            ground,
            project,
            helper,
        }
    }

    /// Runs the jobs of a file, with what GitLab would set.
    fn jobs(&self, file: &str, jobs: &[&str], variables: &[(&str, &str)]) -> Finished {
        let login = self.ground.registry.login().unwrap();
        let registry = &self.ground.registry;
        let address = match registry.authority() {
            Some(_) => registry.named_address(),
            None => registry.address(),
        };
        let image = format!("{address}/{REPOSITORY}");
        let mirror = self.ground.mirror.address();
        let known = [
            ("BUILDER_IMAGE", DEBUG),
            ("CI_COMMIT_SHA", COMMIT),
            ("CI_REGISTRY", &address),
            ("CI_REGISTRY_IMAGE", &image),
            ("CI_REGISTRY_USER", &login.user),
            ("CI_REGISTRY_PASSWORD", &login.password),
            ("CI_JOB_TOKEN", &login.password),
            ("KANIKO_REGISTRY_MIRROR", &mirror),
        ];
        let docker = self.ground.docker.command();
        let mut command = Command::new(program());
        let environment = docker
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        command.envs(environment).current_dir(self.project.path());
        command
            .args([
                "--file",
                file,
                "--network=host",
                "--pull-policy=if-not-present",
            ])
            .args([
                "--helper-image",
                &self.helper,
                "--color=false",
                "--no-json-schema-validation",
            ])
            .args(["--extra-host=registry.test:127.0.0.1", "--home"])
            .arg(self.project.path());
        for (name, value) in known.iter().chain(variables) {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        process::finish(command.args(jobs)).unwrap()
    }

    fn tags(&self, repository: &str) -> BTreeSet<String> {
        let endpoint = self.ground.registry.endpoint();
        endpoint
            .tags(repository)
            .unwrap_or_default()
            .into_iter()
            .collect()
    }
}

fn run(command: &mut Command) {
    process::run(command).unwrap();
}

/// gitlab-ci-local, installed once.
fn program() -> PathBuf {
    let place = cache::once("gitlab-ci-local", |directory| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]);
        process::run(npm.arg(directory).arg(GITLAB_CI_LOCAL)).map(drop)
    });
    place.unwrap().join("node_modules/.bin/gitlab-ci-local")
}

/// What a pipeline needs.
macro_rules! skip_without_runner {
    () => {
        skip_unless!(
            needs::docker(),
            needs::registry(),
            needs::debian(),
            needs::program("npm"),
            needs::program("git"),
            needs::program("rsync")
        );
    };
}

// Below the macro that it uses.
mod cleanup;
mod names;

fn set(tags: &[&str]) -> BTreeSet<String> {
    tags.iter().map(ToString::to_string).collect()
}

#[test]
fn the_migrated_job_pushes_and_its_second_run_is_cached() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let first = pipeline.jobs(".gitlab-ci.yml", &["build"], &[]);
    assert_eq!(first.status, 0, "{}", first.output);
    assert_eq!(pipeline.tags(REPOSITORY), set(&[COMMIT, "latest"]));
    validate::pushed(&pipeline.ground.registry.endpoint(), REPOSITORY, "latest").unwrap();
    let second = pipeline.jobs(".gitlab-ci.yml", &["build"], &[]);
    assert!(second.output.contains("nothing ran"), "{}", second.output);
}

#[test]
fn several_images_come_from_one_job() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let file = "several-images.gitlab-ci.yml";
    let done = pipeline.jobs(
        file,
        &["one-after-another", "from-compose"],
        &[("CI_COMMIT_SHORT_SHA", "0123")],
    );
    assert_eq!(done.status, 0, "{}", done.output);
    for name in ["server", "worker"] {
        let tags = pipeline.tags(&format!("{REPOSITORY}/{name}"));
        assert_eq!(tags, set(&[COMMIT, "0123"]), "{name}");
    }
}

/// Which jobs run is left to their rules.
#[test]
fn a_merge_request_pushes_nothing_and_the_default_branch_publishes() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let file = "merge-requests.gitlab-ci.yml";
    // GitLab sets one of them.
    let request = [("CI_MERGE_REQUEST_IID", "7"), ("CI_COMMIT_BRANCH", "")];
    let done = pipeline.jobs(file, &[], &request);
    assert_eq!(done.status, 0, "{}", done.output);
    let ran = |job: &str| done.output.lines().any(|line| line.starts_with(job));
    assert!(ran("try") && !ran("publish"), "{}", done.output);
    let cache = format!("{REPOSITORY}/cache");
    assert!(pipeline.tags(REPOSITORY).is_empty() && pipeline.tags(&cache).is_empty());

    let branch = [("CI_COMMIT_BRANCH", "main"), ("CI_DEFAULT_BRANCH", "main")];
    let done = pipeline.jobs(file, &[], &branch);
    assert_eq!(done.status, 0, "{}", done.output);
    let ran = |job: &str| done.output.lines().any(|line| line.starts_with(job));
    assert!(!ran("try") && ran("publish"), "{}", done.output);
    assert_eq!(pipeline.tags(REPOSITORY), set(&["latest"]));
    assert!(!pipeline.tags(&cache).is_empty());
}

#[test]
fn a_release_is_pushed_under_all_its_names() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let file = "tags.gitlab-ci.yml";
    let done = pipeline.jobs(file, &["build"], &[("CI_COMMIT_TAG", "v1.2.3")]);
    assert_eq!(done.status, 0, "{}", done.output);
    assert_eq!(
        pipeline.tags(REPOSITORY),
        set(&["1.2.3", "1.2", "1", "latest"])
    );
    // What `gitlab tags` prints, before the build says names of its own.
    let (_, rest) = done.output.split_once("$ yadokari gitlab tags").unwrap();
    let (printed, _) = rest.split_once("$ /kaniko/executor").unwrap();
    for tag in ["1.2.3", "1.2", "1", "latest"] {
        let name = format!("{}/{REPOSITORY}:{tag}", pipeline.ground.registry.address());
        let said = printed.lines().any(|line| line.ends_with(&name));
        assert!(said, "{name}: {printed}");
    }
}

#[test]
fn platforms_are_put_under_one_name() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let done = pipeline.jobs("multi-arch.gitlab-ci.yml", &[], &[]);
    assert_eq!(done.status, 0, "{}", done.output);
    let (_, index) = pipeline
        .ground
        .registry
        .endpoint()
        .manifest(REPOSITORY, COMMIT)
        .unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let platforms = index["manifests"].as_array().unwrap().iter();
    let platforms: BTreeSet<_> = platforms
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, BTreeSet::from(["amd64", "arm64"]));
}

#[test]
fn the_component_builds_what_its_inputs_say() {
    skip_without_runner!();
    let pipeline = Pipeline::new(false);
    let branch = [
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_COMMIT_REF_SLUG", "main"),
    ];
    let done = pipeline.jobs("component.gitlab-ci.yml", &["build-image"], &branch);
    assert_eq!(done.status, 0, "{}", done.output);
    assert_eq!(
        pipeline.tags(&format!("{REPOSITORY}/server")),
        set(&["main", "latest"])
    );
}

#[test]
fn a_private_authority_is_trusted_when_it_is_named() {
    skip_without_runner!();
    let pipeline = Pipeline::new(true);
    let authority = pipeline.ground.registry.authority().unwrap();
    std::fs::copy(
        authority.certificate(),
        pipeline.project.path().join("ca.pem"),
    )
    .unwrap();
    // Only what git knows reaches the job.
    run(Command::new("git")
        .args(["add", "ca.pem"])
        .current_dir(pipeline.project.path()));
    let file = "private-ca.gitlab-ci.yml";
    let done = pipeline.jobs(file, &["build"], &[("CA_FILE", "ca.pem")]);
    assert_eq!(done.status, 0, "{}", done.output);
    assert_eq!(pipeline.tags(REPOSITORY), set(&["latest"]));
}
