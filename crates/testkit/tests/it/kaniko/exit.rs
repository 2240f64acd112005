//! Exit statuses, and that a failure names its line.

use yadokari_testkit::process::Finished;

use crate::support::job::{EXECUTOR, Ground, skip_without_ground};
use crate::support::project::Project;

fn build(ground: &Ground, dockerfile: &str, more: &[&str]) -> Finished {
    let project = Project::new(dockerfile);
    let words = ["--context=/builds/group/project", "--no-push"];
    ground
        .job(&project, EXECUTOR)
        .args(words)
        .args(more)
        .run()
        .unwrap()
        .1
}

#[test]
fn the_status_of_a_failing_command_is_the_executors() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let failed = build(
        &ground,
        "FROM busybox\nRUN echo first\nRUN echo about to fail; exit 42\n",
        &[],
    );
    assert_eq!(failed.status, 42, "{}", failed.output);
    assert!(
        failed.output.contains("about to fail") && failed.output.contains("Dockerfile:3"),
        "{}",
        failed.output
    );

    let killed = build(&ground, "FROM busybox\nRUN kill -KILL $$\n", &[]);
    assert_eq!(killed.status, 137, "{}", killed.output);
    let missing = build(&ground, "FROM busybox\nRUN no-such-command\n", &[]);
    assert_eq!(missing.status, 127, "{}", missing.output);
}

#[test]
fn every_other_failure_is_1_and_unusable_arguments_are_2() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let copy = build(&ground, "FROM busybox\nCOPY not-there /x\n", &[]);
    assert_eq!(copy.status, 1, "{}", copy.output);
    assert!(
        copy.output.contains("not-there") && copy.output.contains("Dockerfile:2"),
        "{}",
        copy.output
    );
    let base = build(&ground, "FROM no/such/image:here\n", &[]);
    assert_eq!(base.status, 1, "{}", base.output);
    let flag = build(&ground, "FROM busybox\n", &["--no-such-flag"]);
    assert_eq!(flag.status, 2, "{}", flag.output);
}
