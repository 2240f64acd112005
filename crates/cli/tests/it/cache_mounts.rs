//! Where cache mounts are kept, by flags and surroundings.

use yadokari::convert::UsageError;
use yadokari_build::{CacheLocation, KeepMounts};

use crate::given::{docker, kaniko, try_job};

fn kept(flags: &[&str]) -> KeepMounts {
    kaniko(flags).request.cache_mounts.keep
}

/// The repository or directory that mounts are saved in.
fn place(keep: KeepMounts) -> String {
    match keep {
        KeepMounts::Saved(CacheLocation::Repository(reference)) => reference.name().to_string(),
        KeepMounts::Saved(CacheLocation::Directory(path)) => path.display().to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_container_keeps_mounts_with_its_layers_and_a_machine_by_itself() {
    let repo = "--cache-repo=r.example/c";
    for (flags, expected) in [
        (&["--cache", repo][..], "r.example/c"),
        (&["--cache", "--cache-repo=oci:/kept"], "/kept"),
        (&["--cache=false", repo], "Local"),
        (&[repo], "Local"),
        (&[], "Local"),
        (&["--cache", repo, "--cache-mounts=local"], "Local"),
        (&["--cache", repo, "--cache-mounts=off"], "Off"),
        (&["--cache-mounts=registry", repo], "r.example/c"),
        (&["--cache-mounts=oci:kept"], "/ci/kept"),
    ] {
        assert_eq!(place(kept(flags)), expected, "{flags:?}");
    }
    let pushed = ["--cache", "--destination=r.example/app:1"];
    let job = try_job("executor", &pushed, &[]).unwrap();
    assert_eq!(place(job.request.cache_mounts.keep), "r.example/app/cache");
    let local = docker(&["--cache", "--state-dir=/s"]);
    assert_eq!(
        local.request.cache_mounts.keep,
        KeepMounts::Local,
        "its layers stay there too"
    );
}

#[test]
fn a_place_that_is_none_is_refused() {
    for flag in [
        "--cache-mounts=registry",
        "--cache-mounts=oci:",
        "--cache-mounts=somewhere",
    ] {
        let refused = try_job("executor", &["--no-push", flag], &[]);
        let named = matches!(
            refused,
            Err(UsageError::Value {
                flag: "cache-mounts",
                ..
            })
        );
        assert!(named, "{flag}");
    }
}

#[test]
fn the_limit_is_a_size() {
    let limit = |flags: &[&str]| kaniko(flags).request.cache_mounts.limit;
    assert_eq!(limit(&[]), None);
    assert_eq!(limit(&["--cache-mount-limit=2GB"]), Some(2 << 30));
    assert_eq!(limit(&["--cache-mount-limit=0"]), Some(0));
}
