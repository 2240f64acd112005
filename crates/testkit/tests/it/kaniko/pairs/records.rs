//! Records that lie, that are half there, and that two jobs write at once.

use serde_json::Value;
use yadokari_testkit::docker::Container;

use crate::support::job::{REPOSITORY, skip_without_ground};
use crate::support::pair::Jobs;

const STEPS: &str = "\
FROM busybox
RUN echo ran-$((40+2))-one; date +%s%N > /one; head -c 100000 /dev/urandom > /data
RUN echo ran-$((40+2))-two; cat /one > /two
";

/// The same with a command on top, for which the layers below are read.
fn with_a_third_step() -> String {
    format!("{STEPS}RUN echo ran-$((40+2))-three; test -s /data; cmp /one /two\n")
}

/// The tag of an instruction's record, and its manifest.
fn record(jobs: &Jobs, instruction: &str) -> (String, Value) {
    let (endpoint, cache) = (
        jobs.ground.registry.endpoint(),
        format!("{REPOSITORY}/cache"),
    );
    let tags = endpoint.tags(&cache).unwrap();
    let manifests = tags.into_iter().map(|tag| {
        let (_, bytes) = endpoint.manifest(&cache, &tag).unwrap();
        (tag, serde_json::from_slice::<Value>(&bytes).unwrap())
    });
    let mut found = manifests.filter(|(_, manifest)| {
        let told = &manifest["annotations"]["dev.yadokari.cache.instruction"];
        told.as_str().is_some_and(|told| told.contains(instruction))
    });
    found.next().expect("the instruction has a record")
}

/// Replaces a record.
fn replace(jobs: &Jobs, tag: &str, manifest: &Value) {
    let endpoint = jobs.ground.registry.endpoint();
    let url = endpoint.url(&format!("{REPOSITORY}/cache/manifests/{tag}"));
    let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
    let text = manifest.to_string();
    let answer = endpoint
        .call(&url, &["-X", "PUT", "-H", kind, "--data-binary", &text])
        .unwrap();
    assert_eq!(
        answer.status,
        201,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}

#[test]
fn a_record_that_lies_is_a_miss_and_a_warning() {
    skip_without_ground!();
    let jobs = Jobs::new(STEPS);
    assert_eq!(jobs.run(&[]).ran(), ["one", "two"]);
    let (one, honest) = record(&jobs, "-one");
    let (two, second) = record(&jobs, "-two");
    let lies: [(&str, &str, Value); 3] = [
        (
            "dev.yadokari.cache.parent",
            "",
            format!("sha256:{}", "a".repeat(64)).into(),
        ),
        (
            "dev.yadokari.cache.key",
            "it belongs to another key",
            two.clone().into(),
        ),
        (
            "dev.yadokari.cache.diff-id",
            "building without it",
            format!("sha256:{}", "b".repeat(64)).into(),
        ),
    ];
    jobs.project.write("Dockerfile", &with_a_third_step());
    for (annotation, warning, lie) in lies {
        let mut record = honest.clone();
        record["annotations"][annotation] = lie;
        replace(&jobs, &one, &record);
        let job = jobs.run(&["--no-push-cache"]);
        assert_eq!(job.ran(), ["one", "three", "two"], "{annotation}");
        job.says(warning);
        jobs.layers();
    }
    let mut other = honest.clone();
    other["layers"][0] = second["layers"][0].clone();
    replace(&jobs, &one, &other);
    let job = jobs.run(&["--no-push-cache"]);
    assert_eq!(job.ran(), ["one", "three", "two"], "another layer");
    job.says("building without it");

    replace(&jobs, &one, &honest);
    assert_eq!(jobs.run(&[]).ran(), ["three"]);
}

#[test]
fn two_jobs_that_write_one_key_at_once_do_no_harm() {
    skip_without_ground!();
    let jobs = Jobs::new(STEPS);
    let flags = ["--cache=true", &format!("--cache-repo={}", jobs.cache())];
    let containers: Vec<Container<'_>> = (0..2)
        .map(|_| jobs.container(&flags).create().unwrap())
        .collect();
    let running: Vec<_> = containers
        .iter()
        .map(|container| container.attach().unwrap())
        .collect();
    for job in running {
        job.wait().unwrap().success();
    }
    jobs.layers();
    // Of each pair of results only one fits on the other; a third job takes what fits and does the rest.
    jobs.project.write("Dockerfile", &with_a_third_step());
    let third = jobs.run(&[]);
    assert!(third.ran().contains(&"three"));
    assert_eq!(jobs.run(&[]).ran(), [""; 0]);
    jobs.layers();
}
