//! Caches in other places, and with other rules.

use yadokari_testkit::tap::Behaviour;

use super::{LAYER, THREE_STEPS, assert_no_layer_moved};
use crate::support::job::skip_without_ground;
use crate::support::pair::Jobs;

fn jobs(behaviour: Behaviour) -> Jobs {
    let jobs = Jobs::behind(THREE_STEPS, behaviour);
    jobs.project.write("src/a", "1\n");
    jobs
}

#[test]
fn flags_decide_what_is_written_and_what_is_used() {
    skip_without_ground!();
    let jobs = jobs(Behaviour::default());
    let all = ["data", "last"];
    let unwritten = jobs.run(&["--no-push-cache"]);
    assert_eq!(unwritten.ran(), all);
    let endpoint = jobs.ground.registry.endpoint();
    assert_eq!(endpoint.tags("group/project/cache").unwrap(), [""; 0]);

    assert_eq!(jobs.run(&[]).ran(), all);
    let cached = jobs.run(&["--compressed-caching=false"]);
    assert_eq!(cached.ran(), [""; 0]);
    assert_no_layer_moved(&cached);
    assert_eq!(jobs.run(&["--cache-ttl=1ms"]).ran(), all);
    assert_eq!(jobs.run(&["--cache-run-layers=false"]).ran(), all);
    let copied = jobs.run(&["--cache-copy-layers=false"]);
    assert_eq!(
        copied.ran(),
        [""; 0],
        "a copy that is done again gives what it gave before"
    );

    assert_eq!(jobs.run(&["--cache-scope=feature"]).ran(), all);
    assert_eq!(jobs.run(&["--cache-scope=feature"]).ran(), [""; 0]);
    assert_eq!(
        jobs.run(&["--cache-scope=main"]).ran(),
        all,
        "a protected branch takes nothing from others"
    );
    assert_eq!(jobs.run(&["--cache-scope=new,main"]).ran(), [""; 0]);
}

#[test]
fn images_and_directories_are_caches_too() {
    skip_without_ground!();
    let jobs = jobs(Behaviour::default());
    let dockerfile = THREE_STEPS.replace("COPY src /src\n", "") + "COPY src /src\n";
    jobs.project.write("Dockerfile", &dockerfile);
    let directory = ["--cache=true", "--cache-repo=oci:/kept/layers"];
    assert_eq!(jobs.run_plain(&directory).ran(), ["data", "last"]);
    let cached = jobs.run_plain(&directory);
    assert_eq!(cached.ran(), [""; 0]);
    assert!(cached.registry.sent < LAYER, "{:?}", cached.registry);
    let blobs = || {
        let files = std::fs::read_dir(jobs.kept().join("layers/blobs/sha256"));
        files.unwrap().count()
    };
    let (first, image) = (blobs(), format!("--cache-from={}", jobs.image()));
    jobs.run_plain(&directory);
    assert_eq!(blobs(), first, "a directory does not grow by itself");

    let matched = jobs.run_plain(&[&image]);
    assert_eq!(matched.ran(), [""; 0]);
    // The commands' layers are read for the copy on top, and are where they belong already.
    assert!(matched.registry.sent < LAYER, "{:?}", matched.registry);
}

#[test]
fn what_any_of_several_places_has_is_mounted_where_the_next_job_looks() {
    skip_without_ground!();
    let jobs = jobs(Behaviour::default());
    let place = |name: &str| jobs.cache().replace("/project/", &format!("/{name}/"));
    let other = format!("--cache-repo={}", place("other"));
    let filled = jobs.run_plain(&["--cache=true", &other]);
    assert_eq!(filled.ran(), ["data", "last"]);
    let layers = jobs.layers();

    let from = ["nobody", "other"].map(|name| format!("--cache-from={}", place(name)));
    let found = jobs.run(&[&from[0], &from[1]]);
    assert_eq!(found.ran(), [""; 0]);
    assert_no_layer_moved(&found);
    let alone = jobs.run(&[]);
    assert_eq!(alone.ran(), [""; 0], "one place is enough from now on");
    assert_no_layer_moved(&alone);
    assert_eq!(jobs.layers(), layers);
}

#[test]
fn a_registry_that_mounts_nothing_is_sent_what_it_lacks() {
    skip_without_ground!();
    let jobs = jobs(Behaviour {
        no_mounts: true,
        ..Behaviour::default()
    });
    assert_eq!(jobs.run(&[]).ran(), ["data", "last"]);
    let layers = jobs.layers();
    let cached = jobs.run(&[]);
    assert_eq!(cached.ran(), [""; 0]);
    assert_no_layer_moved(&cached);
    assert_eq!(jobs.layers(), layers);
}

#[test]
fn credentials_that_may_only_read_the_cache_are_a_warning() {
    skip_without_ground!();
    let jobs = jobs(Behaviour {
        read_only: Some("/cache/"),
        ..Behaviour::default()
    });
    let refused = jobs.run(&[]);
    assert_eq!(refused.ran(), ["data", "last"]);
    refused.says("layers were not cached");
    jobs.layers();
    let quiet = jobs.run(&["--no-push-cache"]);
    assert!(
        !quiet.build.output.contains("were not cached"),
        "{}",
        quiet.build.output
    );
}
