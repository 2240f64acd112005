//! Cache mounts of jobs whose containers share nothing but the cache repository.

use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use yadokari_testkit::{needs, process, skip_unless, validate};

use crate::machine::cache_mounts::{OPTIONS, SEEN};
use crate::support::job::{DEBUG, Ground, REPOSITORY, skip_without_ground};
use crate::support::packages::Packages;
use crate::support::project::Project;

/// A package as `dpkg` has them, and the index that `apt-get` reads.
fn repository(scratch: &Path) -> Vec<(String, Vec<u8>)> {
    let root = scratch.join("hello-crab");
    std::fs::create_dir_all(root.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(root.join("usr/share")).unwrap();
    let control = "Package: hello-crab\nVersion: 1.0\nArchitecture: all\n\
                   Maintainer: Nobody <nobody@example.invalid>\nDescription: a shell to live in\n";
    std::fs::write(root.join("DEBIAN/control"), control).unwrap();
    std::fs::write(root.join("usr/share/crab"), "a crab\n").unwrap();
    let file = scratch.join("hello-crab_1.0_all.deb");
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--build", "--root-owner-group"])
        .arg(&root)
        .arg(&file);
    process::run(&mut build).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let size = bytes.len();
    let index =
        format!("{control}Filename: ./hello-crab_1.0_all.deb\nSize: {size}\nSHA256: {digest}\n\n");
    vec![
        ("hello-crab_1.0_all.deb".to_owned(), bytes),
        ("Packages".to_owned(), index.into_bytes()),
    ]
}

/// What everybody writes who keeps apt's files, with the source of this test.
fn installing(packages: &Packages, round: usize) -> String {
    format!(
        "FROM debian:bookworm\n\
         RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
         --mount=type=cache,target=/var/lib/apt,sharing=locked \
         rm -rf /etc/apt/apt.conf.d/docker-clean /etc/apt/sources.list /etc/apt/sources.list.d && \
         echo 'deb [trusted=yes] {}/ ./' > /etc/apt/sources.list && \
         echo 'Binary::apt::APT::Keep-Downloaded-Packages \"true\";' > /etc/apt/apt.conf.d/keep-cache && \
         apt-get -o Acquire::Retries=0 -o Acquire::Languages=none update && apt-get install -y hello-crab && cat /usr/share/crab && echo round {round}\n",
        packages.url()
    )
}

#[test]
fn the_second_job_installs_what_the_first_one_downloaded() {
    skip_without_ground!();
    skip_unless!(needs::debian(), needs::program("dpkg-deb"));
    let scratch = tempfile::tempdir().unwrap();
    let packages = Packages::serve(repository(scratch.path()));
    let ground = Ground::debian();
    for round in 1..=2 {
        let project = Project::new(&installing(&packages, round));
        let job = ground.run_snippet(&project).success();
        assert!(job.output.contains("a crab"), "{}", job.output);
        for file in [".deb", "Packages"] {
            let sent = packages.downloads(file);
            assert_eq!(sent, 1, "{file} in job {round}:\n{}", job.output);
        }
    }
    validate::pushed(&ground.registry.endpoint(), REPOSITORY, "latest").unwrap();
    let tags = ground
        .registry
        .endpoint()
        .tags(&format!("{REPOSITORY}/cache"))
        .unwrap();
    let saved = tags.iter().filter(|tag| tag.starts_with("mount-")).count();
    assert_eq!(saved, 2, "{tags:?}");

    let everything_cached = Project::new(&installing(&packages, 2));
    let log = ground.registry.log().len();
    ground.run_snippet(&everything_cached).success();
    let asked = ground.registry.log()[log..].to_owned();
    assert!(
        !asked.contains("mount-"),
        "a cached step restores nothing:\n{asked}"
    );
}

#[test]
fn seeds_owners_and_read_only_mounts_work_without_privileges() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let project = Project::new(OPTIONS);
    std::fs::create_dir(project.join("out")).unwrap();
    let words = [
        "--context=/builds/group/project",
        "--no-push",
        "--output=type=local,dest=/builds/group/project/out",
    ];
    let job = ground
        .job(&project, DEBUG)
        .entrypoint("/kaniko/executor")
        .args(words);
    job.run().unwrap().1.success();
    for (file, text) in SEEN {
        let found = std::fs::read_to_string(project.join("out").join(file)).unwrap();
        assert_eq!(found, text, "{file}");
    }
}
