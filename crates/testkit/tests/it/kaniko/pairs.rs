//! What a second job asks of the registry and moves, in a fresh unprivileged container beside nothing but the cache.

mod elsewhere;
mod records;

use crate::support::job::skip_without_ground;
use crate::support::pair::{Job, Jobs};

/// Six stages, four of which are only copied from. Layers are of a size that shows when one moves.
const SIX_STAGES: &str = "\
FROM busybox AS tools
RUN echo ran-$((40+2))-tools; head -c 1500000 /dev/urandom > /tool
FROM busybox AS source
COPY src /src
RUN echo ran-$((40+2))-source; mkdir /out && wc -l < /src/main > /out/lines
FROM busybox AS docs
RUN echo ran-$((40+2))-docs; head -c 1500000 /dev/urandom > /docs
FROM busybox AS extra
RUN echo ran-$((40+2))-extra; echo extra > /extra
FROM busybox AS common
ARG VERSION=1
RUN echo ran-$((40+2))-common; echo $VERSION > /version; head -c 1500000 /dev/urandom > /data
FROM common
LABEL a=b
COPY --from=source /out /out
RUN echo ran-$((40+2))-check; test -s /out/lines
COPY --from=tools /tool /bin/tool
COPY --link --from=extra /extra /extra
COPY --from=docs /docs /docs
";

/// What a layer of the stages above has at least, in bytes.
const LAYER: u64 = 1_000_000;

/// Three steps of which the last two leave large layers.
const THREE_STEPS: &str = "\
FROM busybox
ARG VERSION=1
COPY src /src
RUN echo ran-$((40+2))-data; head -c 1500000 /dev/urandom > /data
RUN echo ran-$((40+2))-last; echo $VERSION > /last
";

/// What no job without layers comes near, in bytes.
const LITTLE: u64 = 150_000;

/// Asserts that no layer went to or came from anywhere.
#[track_caller]
fn assert_no_layer_moved(job: &Job) {
    let (registry, mirror) = (&job.registry, &job.mirror);
    assert_eq!(job.asked("GET blob"), 0, "{registry:?}");
    assert!(
        registry.sent < LITTLE && registry.received < LITTLE,
        "{registry:?}"
    );
    assert!(mirror.sent + mirror.received < LITTLE, "{mirror:?}");
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever runs this test by itself"
)]
fn tell(what: &str, job: &Job) {
    for (place, counts) in [("registry", &job.registry), ("mirror", &job.mirror)] {
        println!(
            "{what}, {place}: {} requests, {} bytes sent, {} received: {:?}",
            counts.total(),
            counts.sent,
            counts.received,
            counts.requests
        );
    }
}

#[test]
fn a_fully_cached_job_of_six_stages_reads_manifests_mounts_and_writes_one_manifest() {
    skip_without_ground!();
    let jobs = Jobs::new(SIX_STAGES);
    jobs.project.write("src/main", "one\ntwo\n");
    let cold = jobs.run(&[]);
    assert_eq!(
        cold.ran(),
        ["check", "common", "docs", "extra", "source", "tools"]
    );
    let layers = jobs.layers();
    tell("cold", &cold);

    let warm = jobs.run(&[]);
    tell("fully cached", &warm);
    assert_eq!(warm.ran(), [""; 0]);
    assert_eq!(jobs.layers(), layers);
    assert_no_layer_moved(&warm);
    // Eleven records, the last manifest of the tag, and the new one.
    let expected = [
        ("DELETE upload", 1),
        ("GET manifest", 11),
        ("GET ping", 1),
        ("HEAD manifest", 1),
        ("POST mount", 6),
        ("POST upload", 1),
        ("PUT manifest", 1),
    ];
    let found: Vec<_> = warm
        .registry
        .requests
        .iter()
        .map(|(kind, number)| (kind.as_str(), *number))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_change_costs_what_it_changes() {
    skip_without_ground!();
    let jobs = Jobs::new(SIX_STAGES);
    jobs.project.write("src/main", "one\ntwo\n");
    jobs.run(&[]);
    let layers = jobs.layers();

    // The same number of lines, which is all that is copied on: what follows is found by content, and of the stages
    // that did not change nothing is downloaded for that.
    jobs.project.write("src/main", "three\nfour\n");
    let source = jobs.run(&[]);
    tell("same content", &source);
    assert_eq!(source.ran(), ["source"]);
    source.says("not cached: /src/main changed");
    assert_eq!(jobs.layers(), layers);
    assert!(source.registry.received < LAYER, "{:?}", source.registry);
    assert!(source.registry.sent < LAYER, "{:?}", source.registry);
    assert_no_layer_moved(&jobs.run(&[]));

    let argument = jobs.run(&["--build-arg=VERSION=2"]);
    assert_eq!(argument.ran(), ["check", "common"]);
    argument.says("not cached: variable VERSION was `1`, is `2`");

    let dockerfile = format!("{SIX_STAGES}COPY src/main /main\n");
    jobs.project.write("Dockerfile", &dockerfile);
    let file = jobs.run(&[]);
    tell("one more file", &file);
    assert_eq!(file.ran(), [""; 0]);
    // The layers below are read, to know where links lead, and are not sent.
    assert!(file.registry.sent < LITTLE, "{:?}", file.registry);
}

#[test]
fn what_stands_on_a_change_is_done_again_and_nothing_else() {
    skip_without_ground!();
    let jobs = Jobs::new(THREE_STEPS);
    jobs.project.write("src/a", "1\n");
    assert_eq!(jobs.run(&[]).ran(), ["data", "last"]);
    let layers = jobs.layers();
    jobs.project.write(
        "Dockerfile",
        &THREE_STEPS.replace("ran-$((40+2))-last", "ran-$((40+2))-other"),
    );
    let last = jobs.run(&[]);
    assert_eq!(last.ran(), ["other"]);
    assert_eq!(jobs.layers()[..3], layers[..3]);
    // The layer below is read, since a command stands on it, and is not sent.
    assert!(last.registry.sent < LITTLE, "{:?}", last.registry);
    assert!(last.registry.received > LAYER, "{:?}", last.registry);
    jobs.project.write("src/a", "2\n");
    assert_eq!(jobs.run(&[]).ran(), ["data", "other"]);
}
