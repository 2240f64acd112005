//! The executable itself: names, streams and exit codes.

use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::place::Place;

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

fn yadokari(arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_yadokari"), arguments)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_goes_to_standard_output() {
    let output = yadokari(&["--help"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("build") && output.stderr.is_empty());
}

#[test]
fn unusable_arguments_end_with_status_two() {
    for arguments in [
        &["--no-such-flag"][..],
        &["build", "--network=moon"],
        &["--dockerfile=x"],
        &["nonsense"],
    ] {
        let output = yadokari(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).starts_with("error: ") && output.stdout.is_empty(),
            "{arguments:?}: {output:?}"
        );
    }
}

#[test]
fn output_that_is_lost_is_a_failure() {
    let place = Place::new();
    let image = place.name("app:1");
    place.layout("app", "amd64");
    place.run(&["copy", "oci:app", &image]);
    std::fs::write(place.path("compose.yaml"), "services: {a: {build: .}}").unwrap();
    let repository = place.name("app");
    let commands: &[&[&str]] = &[
        &["--help"],
        &["build", "--help-all"],
        &["version"],
        &["--version"],
        &["bake", "--print"],
        &["inspect", &image],
        &["inspect", "--raw", &image],
        &["tags", &repository],
        &["man"],
        &["completions", "bash"],
    ];
    for arguments in commands {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let output = place
            .command(arguments)
            .stdout(full.unwrap())
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(
            told.starts_with("error: cannot write to standard output: "),
            "{arguments:?}: {told}"
        );
    }
}

#[test]
fn the_name_of_the_program_chooses_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["executor", "warmer"] {
        symlink(env!("CARGO_BIN_EXE_yadokari"), directory.path().join(name)).unwrap();
    }
    let program = |name: &str| directory.path().join(name).display().to_string();
    let output = run(&program("executor"), &["version"]);
    assert!(text(&output.stdout).starts_with("yadokari "), "{output:?}");
    let output = run(&program("warmer"), &["--dockerfile=/nonexistent"]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "nothing to write to: {output:?}"
    );
    let output = run(&program("warmer"), &["--help"]);
    assert!(text(&output.stdout).contains("--cache-dir"), "{output:?}");
    let output = run(&program("executor"), &["push", "--help"]);
    assert!(text(&output.stdout).contains("--destination"), "{output:?}");
}
