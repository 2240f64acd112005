//! A machine without a container: root, ordinary users, and root of a user namespace that somebody else made.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::user::User;
use yadokari_testkit::{executor, needs, process, skip_unless};

use super::{everybody, project};
use crate::support::project::Project;

/// Builds a file and gives the image's digest.
fn build(command: &mut Command, project: &Project, file: &str) -> String {
    build_with(command, &[], project, file)
}

/// Builds with more flags.
fn build_with(command: &mut Command, flags: &[&str], project: &Project, file: &str) -> String {
    let facts = tempfile::tempdir().unwrap();
    everybody(facts.path(), 0o777);
    let secret = format!(
        "--secret=id=key,src={}",
        project.join("docker/config.json").display()
    );
    command
        .args([
            "build",
            "--no-push",
            "--reproducible",
            &secret,
            "--metadata-file",
        ])
        .arg(facts.path().join("facts"))
        .arg("--file")
        .arg(project.join(file))
        .args(flags)
        .arg(project.path())
        .env_remove("CI");
    process::finish(command).unwrap().success();
    let text = std::fs::read_to_string(facts.path().join("facts")).unwrap();
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    facts["containerimage.digest"].as_str().unwrap().to_owned()
}

/// The doctor's choice.
fn chosen(command: &mut Command) -> String {
    let finished = process::finish(command.args(["doctor", "--json"]))
        .unwrap()
        .success();
    let findings: serde_json::Value = serde_json::from_str(&finished.output).unwrap();
    findings["chosen"].as_str().unwrap_or("nothing").to_owned()
}

/// A copy of the executable that every user may execute.
fn copy(directory: &Path) -> std::path::PathBuf {
    everybody(directory, 0o755);
    let copy = directory.join("yadokari");
    std::fs::copy(executor::path().unwrap(), &copy).unwrap();
    copy
}

#[test]
fn root_and_ordinary_users_of_a_machine_give_the_same_image() {
    skip_unless!(
        needs::root(),
        needs::user_namespaces(),
        needs::program("useradd"),
        needs::program("unshare")
    );
    let project = project();
    let (place, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = copy(place.path());
    let (many, one) = (
        User::with_subordinate_ids().unwrap(),
        User::without_subordinate_ids().unwrap(),
    );
    let root = || {
        let mut command = Command::new(&program);
        command.env("YADOKARI_DIR", state.path());
        command
    };
    let pod = |inner: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user"])
            .args(inner)
            .arg(&program);
        command.env("YADOKARI_DIR", state.path().join("pod"));
        command
    };
    for mut command in [
        root(),
        many.command(&program),
        one.command(&program),
        pod(&[]),
        pod(&["--mount"]),
    ] {
        assert_eq!(chosen(&mut command), "namespaces", "{command:?}");
    }
    let expected = build(&mut root(), &project, "plain");
    for mut command in [
        many.command(&program),
        one.command(&program),
        pod(&[]),
        pod(&["--mount"]),
    ] {
        assert_eq!(
            build(&mut command, &project, "plain"),
            expected,
            "{command:?}"
        );
    }
    let owned = build(&mut root(), &project, "owned");
    let mut command = many.command(&program);
    assert_eq!(build(&mut command, &project, "owned"), owned);
    for (isolation, snapshot) in [
        ("namespaces", "scan"),
        ("namespaces", "overlay"),
        ("chroot", "scan"),
    ] {
        let mut forced = root();
        let own = state.path().join(format!("{isolation}-{snapshot}"));
        let flags = ["--isolation", isolation, "--snapshot", snapshot];
        let digest = build_with(forced.env("YADOKARI_DIR", own), &flags, &project, "plain");
        assert_eq!(digest, expected, "{isolation} with {snapshot}");
    }
}
