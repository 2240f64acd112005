//! Names that follow from GitLab's variables.

use crate::given::{docker_with, kaniko_with, try_job};
use yadokari::convert::Job;

const RELEASE: [(&str, &str); 3] = [
    ("CI_COMMIT_TAG", "v1.2.3"),
    ("CI_COMMIT_REF_SLUG", "v1-2-3"),
    ("CI_REGISTRY_IMAGE", "r.example/team/app"),
];

fn destinations(job: &Job) -> Vec<String> {
    let destinations = job.request.outputs.destinations.iter();
    destinations.map(ToString::to_string).collect()
}

#[test]
fn a_template_makes_a_destination_for_each_of_its_values() {
    let job = docker_with(
        &["--destination-template", "r.example/team/app:{auto}"],
        &RELEASE,
    );
    let expected = ["1.2.3", "1.2", "1", "latest"].map(|tag| format!("r.example/team/app:{tag}"));
    assert_eq!(destinations(&job), expected);
    assert!(job.request.outputs.push);
}

#[test]
fn templates_join_destinations_and_name_nothing_twice() {
    let flags = [
        "--destination=r.example/a:1.2.3",
        "--destination-template=r.example/a:{version}",
        "--destination-template=r.example/a:{major}.{minor}-slim",
    ];
    let job = try_job("executor", &flags, &RELEASE).unwrap();
    assert_eq!(
        destinations(&job),
        ["r.example/a:1.2.3", "r.example/a:1.2-slim"]
    );
}

#[test]
fn a_pipeline_that_no_template_is_for_builds_and_does_not_push() {
    let job = try_job(
        "executor",
        &["--destination-template=r.example/a:{version}"],
        &[("CI_COMMIT_BRANCH", "topic")],
    )
    .unwrap();
    assert!(destinations(&job).is_empty() && !job.request.outputs.push);
    assert!(
        job.notices
            .iter()
            .any(|notice| notice.contains("not pushed")),
        "{:?}",
        job.notices
    );
}

#[test]
fn no_push_keeps_its_meaning() {
    let job = kaniko_with(&["--destination-template=r.example/a:{version}"], &RELEASE);
    assert!(!job.request.outputs.push);
}

#[test]
fn an_unknown_field_is_refused() {
    let error = try_job(
        "executor",
        &["--destination-template=r.example/a:{tag}"],
        &[],
    )
    .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("{tag}") && said.contains("{version}"),
        "{said}"
    );
}
