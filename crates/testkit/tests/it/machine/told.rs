//! What a build tells on its way, in the forms that machines and job logs take.

use serde_json::Value;
use yadokari_testkit::{needs, process, skip_unless};

use super::Place;
use crate::support::project::Project;

/// Two stages side by side, and a third that copies from the slow one.
const STAGES: &str = "\
FROM busybox AS slow
RUN sleep 1; echo made > /made
FROM busybox
COPY --from=slow /made /
RUN cat /made
";

/// Builds and gives what was told, and the exit status.
fn told(place: &Place, dockerfile: &str, arguments: &[&str], gitlab: bool) -> (i32, String) {
    let (project, state) = (Project::new(dockerfile), tempfile::tempdir().unwrap());
    let mut build = place.build(state.path());
    build.args(arguments).args(["--no-push", "."]);
    build.current_dir(project.path()).env("NO_COLOR", "1");
    if gitlab {
        build.env("GITLAB_CI", "true");
    }
    let done = process::finish(&mut build).unwrap();
    (done.status, done.output)
}

/// The events of a log, each as its name and the step it is about.
fn events(log: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    log.lines()
        .map(line)
        .map(|event| (text(&event["event"]), text(&event["step"])))
        .collect()
}

#[test]
fn a_step_starts_when_the_stages_it_reads_from_are_done() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let (status, log) = told(&place, STAGES, &["--log-format=json"], false);
    assert_eq!(status, 0, "{log}");
    let events = events(&log);
    let at = |event: &str, step: &str| {
        let found = events
            .iter()
            .position(|(name, of)| name == event && of == step);
        found.unwrap_or_else(|| panic!("no {event} of {step}: {log}"))
    };
    let copy = "[stage-1 1/2]";
    assert!(at("waiting", copy) < at("finished", "[slow 1/1]"), "{log}");
    assert!(at("finished", "[slow 1/1]") < at("started", copy), "{log}");
    assert!(log.contains(r#""for":["slow"]"#), "{log}");
    let starts = events.iter().filter(|event| event.0 == "started");
    assert_eq!(starts.count(), 3, "each step starts once: {log}");
}

#[test]
fn a_command_that_waits_for_its_turn_says_so_and_its_wait_is_no_time_of_its_own() {
    skip_unless!(needs::root(), needs::registry());
    let dockerfile = "\
FROM busybox AS one
RUN sleep 2; echo > /one
FROM busybox AS two
RUN sleep 2; echo > /two
FROM busybox
COPY --from=one /one /
COPY --from=two /two /
";
    let arguments = ["--isolation=chroot", "--log-format=json"];
    let (status, log) = told(&Place::new(), dockerfile, &arguments, false);
    assert_eq!(status, 0, "{log}");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    let of = |event: &'static str| lines.iter().filter(move |line| line["event"] == event);
    let queued: Vec<_> = of("queued").collect();
    assert_eq!(queued.len(), 1, "{log}");
    let step = &queued[0]["step"];
    let seconds = |event: &'static str, field: &str| {
        let line = of(event).find(|line| line["step"] == *step);
        line.and_then(|line| line[field].as_f64()).unwrap()
    };
    assert!(seconds("running", "waited") > 1.0, "{log}");
    assert!(seconds("finished", "seconds") < 3.5, "{log}");
}

#[test]
fn what_failed_beside_a_slower_stage_stands_in_gitlabs_log() {
    skip_unless!(needs::root(), needs::registry());
    let dockerfile = "\
FROM busybox AS slow
RUN echo slowly; sleep 60
FROM busybox
RUN sleep 1; echo about to fail >&2; exit 7
COPY --from=slow /x /
";
    let (status, log) = told(&Place::new(), dockerfile, &[], true);
    assert_eq!(status, 7, "{log}");
    let output = log.find("\nabout to fail\n");
    let error = log.find("error: process");
    assert!(output.is_some() && output < error, "{log}");
    let count = |marker: &str| log.matches(marker).count();
    assert_eq!(count("section_start:"), 2, "{log}");
    assert_eq!(count("section_end:"), 2, "{log}");
    let last = log.rfind("section_end:");
    assert!(last < error, "an error in a section is folded away: {log}");
}

#[test]
fn debug_says_what_the_parts_do() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let expected = [
        "isolation works",
        "cache key",
        "found what the command changed",
        "method GET",
        "status 200",
    ];
    let cache = format!("--cache-repo={}/cache", place.registry.address());
    let arguments = ["--cache=true", &cache];
    let (_, info) = told(&place, STAGES, &arguments, false);
    let (status, debug) = told(
        &place,
        STAGES,
        &[
            "--no-cache",
            "--verbosity=debug",
            arguments[0],
            arguments[1],
        ],
        false,
    );
    assert_eq!(status, 0, "{debug}");
    for words in expected {
        assert!(debug.contains(words), "{words}: {debug}");
        assert!(!info.contains(words), "{words}: {info}");
    }
}
