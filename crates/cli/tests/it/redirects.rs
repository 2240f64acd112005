//! Servers that send requests elsewhere: what is secret does not go along.

use std::process::Output;

use crate::place::Place;
use crate::retention::push;
use crate::web::Web;

/// A server that takes whatever comes, and one that redirects everything to it.
fn servers(status: &str) -> (Web, Web) {
    let thief = Web::always("200 OK", "[]");
    let head = format!("{status}\r\nLocation: {}", thief.url("/elsewhere"));
    (Web::always(head, ""), thief)
}

fn refused(output: &Output, thief: &Web) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(
        told.contains("credentials are not taken to 127.0.0.1"),
        "{told}"
    );
    assert_eq!(thief.requests().len(), 0, "{:?}", thief.requests());
}

#[test]
fn gitlabs_tokens_are_not_taken_to_another_host() {
    let place = Place::new();
    let app = place.name("group/app");
    push(&place, "a", 1, &[format!("{app}:v1")]);
    for token in ["CI_JOB_TOKEN", "GITLAB_TOKEN"] {
        let (api, thief) = servers("302 Found");
        let mut command = place.command(&["cleanup", "--match=*", "--dry-run=false", &app]);
        command
            .env("CI_API_V4_URL", api.url("/api/v4"))
            .env("CI_PROJECT_ID", "7")
            .env("CI_REGISTRY_IMAGE", &app)
            .env(token, "hunter2");
        refused(&command.output().unwrap(), &thief);
        assert_eq!(api.requests().len(), 1, "asking again would not help");
    }
}

#[test]
fn tokens_of_a_store_are_not_taken_to_another_host() {
    let place = Place::new();
    let (store, thief) = servers("307 Temporary Redirect");
    let mut command = place.command(&["plan", "--context=s3://bucket/context.tar.gz"]);
    command
        .env("S3_ENDPOINT", store.url(""))
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_SESSION_TOKEN", "hunter2");
    refused(&command.output().unwrap(), &thief);
    let asked = &store.requests()[0];
    assert_eq!(asked.header("x-amz-security-token"), Some("hunter2"));
}

#[test]
fn a_collectors_headers_are_not_taken_to_another_host() {
    let place = Place::new();
    std::fs::write(
        place.path("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .unwrap();
    let (collector, thief) = servers("307 Temporary Redirect");
    let output = place
        .command(&["plan", "."])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hunter2")
        .output()
        .unwrap();
    assert!(output.status.success(), "the plan is as good: {output:?}");
    assert_eq!(collector.requests()[0].header("x-api-key"), Some("hunter2"));
    assert_eq!(thief.requests().len(), 0, "{:?}", thief.requests());
}
