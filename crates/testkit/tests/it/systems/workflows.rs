//! Workflows of GitHub, Forgejo and Gitea.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::{executor, needs, process, skip_unless, validate};

use super::{DOCKERFILE, example, list};
use crate::support::job::{Ground, skip_without_ground};
use crate::support::project::Project;

/// A commit in a repository that a forge would serve, and its name.
fn forge(directory: &Path) -> String {
    let project = Project::new(DOCKERFILE);
    let script = "git init --quiet --initial-branch=main && git add . && \
        git -c user.name=a -c user.email=a@example.com commit --quiet -m a && \
        git clone --quiet --bare . \"$0/team/app.git\" && git rev-parse HEAD";
    let mut git = Command::new("bash");
    git.args(["-ec", script])
        .arg(directory)
        .current_dir(project.path());
    process::run(&mut git).unwrap().trim().to_owned()
}

/// Does the steps of a workflow's job in a directory of their own, and gives the environment of its name for the image.
fn act(workflow: &str, ground: &Ground, server: &Path, commit: &str) {
    let document = example(workflow);
    let job = &document["jobs"]["build"];
    let (work, home, programs) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    std::os::unix::fs::symlink(executor::path().unwrap(), programs.path().join("yadokari"))
        .unwrap();
    let (address, login) = (ground.registry.address(), ground.registry.login().unwrap());
    let fill = |text: &str| {
        let host = text
            .replace("forgejo.example.com", &address)
            .replace("ghcr.io", &address);
        host.replace("${{ github.repository }}", "team/app")
            .replace("${{ secrets.REGISTRY_TOKEN }}", &login.password)
            .replace("${{ secrets.GITHUB_TOKEN }}", &login.password)
            .replace("${{ github.token }}", "of the job")
    };
    let server = format!("file://{}", server.display());
    for step in list(job, "steps") {
        let script = match (step["run"].as_str(), step["uses"].as_str()) {
            (Some(script), None) => fill(script),
            (None, Some("actions/checkout@v4")) => {
                format!("git clone --quiet {server}/team/app.git .")
            }
            other => panic!("{workflow}: {other:?}"),
        };
        assert!(!script.contains("${{"), "{workflow}: {script}");
        let mut command = Command::new("bash");
        command
            .args(["-eo", "pipefail", "-c", &script])
            .current_dir(work.path());
        command
            .env_clear()
            .env("HOME", home.path())
            .env("YADOKARI_DIR", home.path().join("state"));
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", programs.path().display()),
        );
        command.env("KANIKO_REGISTRY_MIRROR", ground.mirror.address());
        for (name, value) in [
            ("GITHUB_ACTOR", login.user.as_str()),
            ("GITHUB_REPOSITORY", "team/app"),
            ("GITHUB_SERVER_URL", &server),
            ("GITHUB_SHA", commit),
        ] {
            command.env(name, value);
        }
        for environment in [&job["env"], &step["env"]] {
            for (name, value) in environment.as_mapping().into_iter().flatten() {
                command.env(name.as_str().unwrap(), fill(value.as_str().unwrap()));
            }
        }
        process::finish(&mut command).unwrap().success();
    }
}

#[test]
fn the_steps_of_the_workflows_check_out_log_in_and_push() {
    skip_without_ground!();
    skip_unless!(needs::root(), needs::program("git"));
    for workflow in ["forgejo-workflow.yml", "github-workflow.yml"] {
        let (ground, forges) = (Ground::busybox(), tempfile::tempdir().unwrap());
        let commit = forge(forges.path());
        act(workflow, &ground, forges.path(), &commit);
        validate::pushed(&ground.registry.endpoint(), "team/app", &commit).unwrap();
    }
}
