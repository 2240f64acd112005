//! What runs beside what, as the trace of a build has it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use yadokari_testkit::{needs, process, skip_unless};

use super::Place;
use crate::support::project::Project;

/// Two stages each of which waits for the other one, and an image with a copy, commands and a base of its own.
const STAGES: &str = "\
FROM busybox AS one
RUN --mount=type=cache,target=/met touch /met/one; until [ -e /met/two ]; do sleep 0.1; done
RUN echo one > /one
FROM busybox AS two
RUN --mount=type=cache,target=/met touch /met/two; until [ -e /met/one ]; do sleep 0.1; done; echo two > /two
FROM busybox AS listed
COPY Dockerfile /
FROM busybox
RUN echo more > /more
COPY --from=one /one /
COPY --from=two /two /
COPY --from=listed /Dockerfile /
RUN cat /one /two > /both
";

/// A span: what it is, and when, in microseconds.
struct Span {
    kind: String,
    what: String,
    start: u64,
    end: u64,
}

/// Builds and pushes with a trace, and gives its spans.
fn traced(place: &Place, snapshot: &str) -> Vec<Span> {
    let (project, state) = (Project::new(STAGES), tempfile::tempdir().unwrap());
    let file = state.path().join("trace.json");
    let address = place.registry.address();
    let mut build = place.build(&state.path().join("state"));
    build.args(["--push", "--cache", "--isolation=namespaces"]);
    build.args([
        format!("--snapshot={snapshot}"),
        format!("--cache-repo={address}/{snapshot}/cache"),
        format!("--tag={address}/{snapshot}/app"),
        format!("--trace={}", file.display()),
    ]);
    build.arg(".").current_dir(project.path());
    process::finish(&mut build).unwrap().success();
    let events: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spans = events.iter().map(|event| {
        let start = event["ts"].as_u64().unwrap();
        Span {
            kind: text(&event["cat"]),
            what: text(&event["name"]),
            start,
            end: start + event["dur"].as_u64().unwrap(),
        }
    });
    spans.collect()
}

/// The spans that docs/performance.md explains.
fn documented() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/performance.md");
    let page = fs::read_to_string(page).unwrap();
    let table = page.split("| span |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with("| "));
    let kinds = rows.flat_map(|row| {
        row.split(" | ")
            .next()
            .unwrap()
            .split('`')
            .skip(1)
            .step_by(2)
    });
    kinds.map(str::to_owned).collect()
}

#[test]
fn every_kind_of_work_has_its_span_and_what_needs_nothing_of_each_other_overlaps() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let mut seen = BTreeSet::new();
    for snapshot in ["scan", "overlay"] {
        let spans = traced(&place, snapshot);
        let build = spans.iter().find(|span| span.kind == "build").unwrap();
        for span in &spans {
            let inside = build.start <= span.start && span.end <= build.end;
            let around = ["yadokari", "build"].contains(&span.kind.as_str());
            assert!(inside || around, "{} {}", span.kind, span.what);
        }
        // That they ended at all says that the two commands ran at the same time.
        assert_eq!(spans.iter().filter(|span| span.kind == "run").count(), 5);
        let transfers = |way: &str| {
            let transfers = spans.iter().filter(|span| span.kind == "transfer");
            transfers.filter(|span| span.what.contains(way)).count()
        };
        assert!(transfers("pulling") > 0);
        assert!(
            transfers(&format!("{snapshot}/cache")) > 0,
            "layers go to the cache"
        );
        seen.extend(spans.into_iter().map(|span| span.kind));
    }
    let documented = documented();
    assert!(documented.len() > 15, "{documented:?}");
    assert_eq!(seen, documented);
}
