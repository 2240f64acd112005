//! Containers of docker, from the most closed to the most open.

use std::collections::BTreeMap;

use serde_json::json;
use yadokari_testkit::docker::Flavour;
use yadokari_testkit::{Docker, executor, needs, skip_unless};

use super::{Outcome, SCRIPT, everybody, project};
use crate::support::job::{DEBUG, skip_without_ground};
use crate::support::project::Project;

/// A way to run a container, and what is expected of it.
struct Environment {
    flags: &'static [&'static str],
    isolation: Option<&'static str>,
    /// Whether files can have several owners.
    owners: bool,
}

const fn of(flags: &'static [&'static str], isolation: &'static str, owners: bool) -> Environment {
    Environment {
        flags,
        isolation: Some(isolation),
        owners,
    }
}

const UNCONFINED: &str = "--security-opt=seccomp=unconfined";
const ORDINARY: [&str; 2] = ["--user=1000:1000", "--env=HOME=/tmp"];

const ENVIRONMENTS: [Environment; 7] = [
    of(&[], "rootswap", true),
    of(&["--cap-drop=ALL"], "rootswap", false),
    of(&[UNCONFINED], "namespaces", true),
    of(&["--cap-add=SYS_ADMIN"], "namespaces", true),
    of(&["--cap-add=SYS_ADMIN", UNCONFINED], "namespaces", true),
    of(
        &[
            "--read-only",
            "--volume=/state",
            "--tmpfs=/tmp",
            "--env=YADOKARI_DIR=/state",
        ],
        "chroot",
        true,
    ),
    of(
        &[ORDINARY[0], ORDINARY[1], "--tmpfs=/tmp", UNCONFINED],
        "namespaces",
        false,
    ),
];

/// Those of a daemon whose containers have user namespaces, as pods with `hostUsers: false` do.
const REMAPPED: [Environment; 3] = [
    of(&[], "rootswap", true),
    of(&[UNCONFINED], "namespaces", true),
    of(&["--cap-add=SYS_ADMIN"], "namespaces", true),
];

fn run(
    docker: &Docker,
    project: &Project,
    flags: &[&str],
    files: &[&str],
    check: impl FnOnce(Outcome<'_>),
) {
    let out = tempfile::tempdir().unwrap();
    everybody(out.path(), 0o777);
    let spec = docker
        .container(DEBUG)
        .volume(project.path(), "/ctx")
        .volume(&project.join("docker"), "/kaniko/.docker")
        .volume(out.path(), "/out")
        .without_network()
        .env("JOB_TOKEN", "PASSWORD")
        .env("FILES", &files.join(" "));
    let spec = flags.iter().fold(spec, |spec, flag| spec.flag(flag));
    let (_, finished) = spec.entrypoint("sh").args(["-c", SCRIPT]).run().unwrap();
    check(Outcome {
        name: &flags.join(" "),
        directory: out.path(),
        said: finished.output,
    });
}

fn check_all(docker: &Docker, environments: &[Environment]) {
    let executable = executor::path().unwrap();
    docker.executor_image(&executable, Flavour::Debug).unwrap();
    let project = project();
    let mut digests: BTreeMap<&str, String> = BTreeMap::new();
    for environment in environments {
        let files: &[&str] = match environment.owners {
            true => &["plain", "owned", "hostile", "hostile-user"],
            false => &["plain", "hostile"],
        };
        run(docker, &project, environment.flags, files, |outcome| {
            outcome.assert_chosen(environment.isolation);
            outcome.assert_all_built(files);
            for file in files {
                if file.starts_with("hostile") {
                    outcome.assert_nothing_given_away(file);
                    continue;
                }
                let digest = outcome.digest(file);
                let first = digests.entry(file).or_insert_with(|| digest.clone());
                assert_eq!(*first, digest, "{} of {}", file, outcome.name);
            }
        });
    }
}

#[test]
fn in_every_container_the_best_isolation_is_found_and_gives_the_same_image() {
    skip_without_ground!();
    check_all(&Docker::start().unwrap(), &ENVIRONMENTS);
}

#[test]
fn in_containers_with_user_namespaces_too() {
    skip_without_ground!();
    skip_unless!(needs::program("useradd"), needs::program("newuidmap"));
    check_all(&Docker::with_user_namespaces().unwrap(), &REMAPPED);
}

#[test]
fn where_nothing_works_the_doctor_says_so_and_copies_are_built() {
    skip_without_ground!();
    let docker = Docker::start().unwrap();
    let executable = executor::path().unwrap();
    docker.executor_image(&executable, Flavour::Debug).unwrap();
    let project = project();
    for closed in [
        &["--user=1000:1000", "--env=HOME=/tmp", "--tmpfs=/tmp"][..],
        &[
            "--read-only",
            "--tmpfs=/state",
            "--env=YADOKARI_DIR=/state",
            "--cap-drop=ALL",
        ],
    ] {
        run(&docker, &project, closed, &["copies", "plain"], |outcome| {
            outcome.assert_chosen(None);
            let logs = ["copies.log", "plain.log"].map(|log| outcome.text(log));
            assert_eq!(
                outcome.said, "doctor 1\ncopies 0\nplain 1\nsame\nend\n",
                "{closed:?}: {logs:?}"
            );
            assert!(
                logs[1].contains("no kind of isolation works here"),
                "{logs:?}"
            );
            assert!(logs[1].contains("plain:4"), "the RUN is quoted: {logs:?}");
        });
    }
}

#[test]
fn an_isolation_that_is_wanted_and_impossible_is_one_error_with_the_reason() {
    skip_without_ground!();
    let docker = Docker::start().unwrap();
    let executable = executor::path().unwrap();
    docker.executor_image(&executable, Flavour::Debug).unwrap();
    let project = project();
    let elsewhere = ["--volume=/state", "--env=YADOKARI_DIR=/state"];
    for (flags, isolation, reason) in [
        (&[][..], "namespaces", "Operation not permitted"),
        (
            &elsewhere,
            "rootswap",
            "`/state` is not on the filesystem of `/`",
        ),
        (&["--cap-drop=ALL"], "chroot", "Operation not permitted"),
    ] {
        let spec = docker.container(DEBUG).volume(project.path(), "/ctx");
        let spec = flags.iter().fold(spec, |spec, flag| spec.flag(flag));
        let words = [
            "build",
            "--no-push",
            "--file=/ctx/plain",
            "--isolation",
            isolation,
            "/ctx",
        ];
        let (_, finished) = spec.entrypoint("yadokari").args(words).run().unwrap();
        assert_eq!(finished.status, 1, "{}", finished.output);
        let said = format!("error: --isolation {isolation} does not work here\n");
        assert!(finished.output.contains(&said), "{}", finished.output);
        assert!(finished.output.contains(reason), "{}", finished.output);
        assert_eq!(
            finished.output.matches("error: ").count(),
            1,
            "{}",
            finished.output
        );
    }
}

#[test]
fn without_landlock_a_run_of_user_0_works_and_the_log_says_what_it_can_reach() {
    skip_without_ground!();
    let docker = Docker::start().unwrap();
    let executable = executor::path().unwrap();
    docker.executor_image(&executable, Flavour::Debug).unwrap();
    let project = project();
    let refuse = |names: &[&str], errno: i32| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno});
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            refuse(&["landlock_create_ruleset"], 38),
            refuse(&["unshare", "mount", "setns"], 1),
        ],
    });
    project.write("profile.json", &profile.to_string());
    let option = format!(
        "--security-opt=seccomp={}",
        project.join("profile.json").display()
    );
    run(&docker, &project, &[&option], &["plain"], |outcome| {
        outcome.assert_chosen(Some("rootswap"));
        outcome.assert_all_built(&["plain"]);
        let log = outcome.text("plain.log");
        let line = "is not confined by Landlock: the kernel has no Landlock; it can read and change /.yadokari, /ctx, ";
        assert_eq!(log.matches(line).count(), 1, "{log}");
        for word in ["/kaniko/.docker", "signal the container's other processes"] {
            assert!(log.contains(word), "{word}: {log}");
        }
    });
}
