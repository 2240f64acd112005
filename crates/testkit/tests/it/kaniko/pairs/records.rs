//! Records that lie, that are half there, and that two jobs write at once.

use serde_json::Value;
use yadokari_testkit::digest;
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

/// The record with other words in its manifest and in its configuration, which agree with each other.
fn forged(jobs: &Jobs, record: &Value, from: &str, to: &str) -> Value {
    let endpoint = jobs.ground.registry.endpoint();
    let cache = format!("{REPOSITORY}/cache");
    let digest = record["config"]["digest"].as_str().unwrap();
    let config = String::from_utf8(endpoint.blob(&cache, digest).unwrap()).unwrap();
    let config = config.replace(from, to);
    let forged = digest::of(config.as_bytes());
    let file = jobs.kept().join("config");
    std::fs::write(&file, &config).unwrap();
    endpoint.upload(&cache, &forged, &file).unwrap();
    let manifest = record.to_string().replace(from, to);
    let manifest = manifest.replace(digest, &forged);
    serde_json::from_str(&manifest).unwrap()
}

#[test]
fn a_record_that_lies_is_a_miss_and_a_warning() {
    skip_without_ground!();
    let jobs = Jobs::new(STEPS);
    assert_eq!(jobs.run(&[]).ran(), ["one", "two"]);
    let (one, honest) = record(&jobs, "-one");
    let (two, second) = record(&jobs, "-two");
    let layers = jobs.layers();

    // A build that finds everything reads no layer, and notices all the same.
    let changed = "it was changed after it was written";
    let other = |digit: &str| Value::from(format!("sha256:{}", digit.repeat(64)));
    for (place, lie, warning) in [
        (
            "/annotations/dev.yadokari.cache.parent",
            other("a"),
            changed,
        ),
        (
            "/annotations/dev.yadokari.cache.diff-id",
            other("b"),
            changed,
        ),
        ("/layers/0", second["layers"][0].clone(), changed),
        ("/layers/0/size", 1.into(), changed),
        (
            "/annotations/dev.yadokari.cache.key",
            two.into(),
            "it belongs to another key",
        ),
    ] {
        let mut record = honest.clone();
        *record.pointer_mut(place).unwrap() = lie;
        replace(&jobs, &one, &record);
        let job = jobs.run(&["--no-push-cache"]);
        assert_eq!(job.ran(), ["one", "two"], "{place}");
        job.says(warning);
        jobs.layers();
    }

    // What was forged with care is noticed where the layer is read.
    jobs.project.write("Dockerfile", &with_a_third_step());
    let of = |name: &str| honest["annotations"][name].as_str().unwrap().to_owned();
    for (name, warning) in [
        ("dev.yadokari.cache.parent", ""),
        ("dev.yadokari.cache.diff-id", "building without it"),
    ] {
        let lie = format!("sha256:{}", "b".repeat(64));
        replace(&jobs, &one, &forged(&jobs, &honest, &of(name), &lie));
        let job = jobs.run(&["--no-push-cache"]);
        assert_eq!(job.ran(), ["one", "three", "two"], "{name}");
        job.says(warning);
        assert!(!job.build.output.contains(changed), "{name}");
        jobs.layers();
    }

    replace(&jobs, &one, &honest);
    assert_eq!(jobs.run(&[]).ran(), ["three"]);
    assert_eq!(jobs.layers()[..layers.len()], layers);
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
