//! Containers of podman.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::docker::Flavour;
use yadokari_testkit::user::User;
use yadokari_testkit::{Docker, executor, needs, process, skip_unless};

use super::{Outcome, SCRIPT, everybody, project};
use crate::support::job::{DEBUG, skip_without_ground};

/// Podman with storage of its own, which it leaves mounted.
pub(super) struct Podman {
    pub(super) directory: tempfile::TempDir,
    /// Who calls it, if not root.
    user: Option<User>,
}

impl Podman {
    /// Podman of root.
    pub(super) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            user: None,
        }
    }

    /// Podman of an ordinary user.
    fn rootless() -> Self {
        let (user, directory) = (
            User::with_subordinate_ids().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        std::fs::create_dir(directory.path().join("session")).unwrap();
        user.own(directory.path()).unwrap();
        everybody(&directory.path().join("session"), 0o700);
        Self {
            directory,
            user: Some(user),
        }
    }

    pub(super) fn command(&self) -> Command {
        let program = Path::new("podman");
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = user.command(program);
                command.env("XDG_RUNTIME_DIR", self.directory.path().join("session"));
                // An overlay of an ordinary user needs a program that may not be there.
                command.arg("--storage-driver=vfs");
                command
            }
        };
        for (flag, name) in [("--root", "root"), ("--runroot", "run")] {
            command.arg(flag).arg(self.directory.path().join(name));
        }
        command.args(["--cgroup-manager", "cgroupfs", "--runtime", "runc"]);
        command.env_remove("DOCKER_CONFIG");
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if self.user.is_some() {
            // Ends the process that keeps the user namespace.
            let _ = process::finish(self.command().args(["system", "migrate"]));
        }
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut points: Vec<&str> = table
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .collect();
        points.retain(|point| Path::new(point).starts_with(self.directory.path()));
        for point in points.iter().rev() {
            let _ = process::finish(Command::new("umount").args(["--lazy", point]));
        }
    }
}

/// Limits that a test without `CAP_SYS_RESOURCE` may set.
const LIMITS: [&str; 2] = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"];

/// As `--userns=auto` chooses them, without an entry in `/etc/subuid`.
const MAPPED: [&str; 2] = ["--uidmap=0:200000:65536", "--gidmap=0:200000:65536"];

/// What is built in all of them.
const FILES: [&str; 4] = ["plain", "owned", "hostile", "hostile-user"];

#[test]
fn podmans_containers_are_no_different() {
    skip_without_ground!();
    skip_unless!(needs::program("podman"));
    let podman = Podman::new();
    move_image(&podman);
    let privileged = [&MAPPED[..], &["--cap-add=SYS_ADMIN"]].concat();
    for (flags, isolation) in [
        (&[][..], "rootswap"),
        (&MAPPED, "rootswap"),
        (&["--cap-add=SYS_ADMIN"], "namespaces"),
        (&privileged, "namespaces"),
    ] {
        assert_built(&podman, flags, isolation);
    }
}

#[test]
fn containers_of_an_ordinary_user_are_no_different() {
    skip_without_ground!();
    skip_unless!(
        needs::program("podman"),
        needs::program("newuidmap"),
        needs::user_namespaces()
    );
    let podman = Podman::rootless();
    move_image(&podman);
    assert_built(&podman, &[], "rootswap");
}

/// Builds everything in a container with these flags.
fn assert_built(podman: &Podman, flags: &[&str], isolation: &str) {
    let (project, out) = (project(), tempfile::tempdir().unwrap());
    everybody(out.path(), 0o777);
    let mut run = podman.command();
    run.args(["run", "--rm", "--network=none"])
        .args(LIMITS)
        .args(flags);
    for (from, to) in [
        (project.path(), "/ctx"),
        (&project.join("docker"), "/kaniko/.docker"),
        (out.path(), "/out"),
    ] {
        run.arg(format!("--volume={}:{to}", from.display()));
    }
    run.args([
        "--env=JOB_TOKEN=PASSWORD",
        &format!("--env=FILES={}", FILES.join(" ")),
    ])
    .args(["--entrypoint=sh", DEBUG, "-c", SCRIPT]);
    let outcome = Outcome {
        name: &flags.join(" "),
        directory: out.path(),
        said: process::finish(&mut run).unwrap().output,
    };
    outcome.assert_chosen(Some(isolation));
    outcome.assert_all_built(&FILES);
    outcome.assert_nothing_given_away("hostile");
    outcome.assert_nothing_given_away("hostile-user");
}

pub(super) fn move_image(podman: &Podman) {
    let (docker, archive) = (
        Docker::start().unwrap(),
        tempfile::NamedTempFile::new().unwrap(),
    );
    docker
        .executor_image(&executor::path().unwrap(), Flavour::Debug)
        .unwrap();
    process::run(
        docker
            .command()
            .args(["save", "--output"])
            .arg(archive.path())
            .arg(DEBUG),
    )
    .unwrap();
    everybody(archive.path(), 0o644);
    process::run(
        podman
            .command()
            .args(["load", "--input"])
            .arg(archive.path()),
    )
    .unwrap();
}
