//! Where a build runs does not show in its bytes.

use std::process::Command;

use yadokari_testkit::layout::Image;
use yadokari_testkit::{executor, needs, process, skip_unless, validate};

use super::Place;
use crate::support::job::{EXECUTOR, Ground, skip_without_ground};
use crate::support::pair::Jobs;
use crate::support::project::Project;
use crate::support::steps::executed;

/// Links, owners, modes, deletions, a renamed directory: whatever one way of snapshotting might miss.
const DOCKERFILE: &str = r#"FROM busybox AS builder
RUN mkdir -p /out/deep/er && echo built > /out/deep/er/file && ln /out/deep/er/file /out/hard && ln -s deep /out/soft
FROM busybox
RUN mkdir -p /a/b && echo one > /a/b/one && echo two > /a/two && chmod 4755 /a/two && chown 12:34 /a/b && mkfifo /a/pipe
RUN mv /a /c && rm /c/two && rm -rf /home && mkdir -m 1777 /home && echo new > /c/two && ln /c/two /c/also
COPY --from=builder --chown=7:8 /out /out
RUN rm -rf /c/b && echo not a directory > /c/b && truncate -s 100000 /sparse
WORKDIR /made/by/workdir
"#;

/// All times are taken from outside.
const REPRODUCIBLE: [&str; 2] = ["--reproducible", "--no-push"];

#[test]
fn a_container_and_a_machine_give_equal_images() {
    skip_without_ground!();
    skip_unless!(needs::root());
    let (ground, project) = (Ground::busybox(), Project::new(DOCKERFILE));
    let inside = in_container(&ground, &project);
    let outside = on_machine(&project);
    let diff_ids = |image: &Image| image.config["rootfs"]["diff_ids"].clone();
    assert_eq!(diff_ids(&inside), diff_ids(&outside));
    assert_eq!(inside.config, outside.config);
    assert_eq!(inside.digest(), outside.digest());
}

/// What a key could come to depend on by mistake: owners, links, what is mounted, an environment.
const STEPS: &str = "FROM busybox AS tools
RUN echo ran-$((40+2))-tools; echo $RANDOM$HOSTNAME > /tool
FROM busybox
ENV A=1
WORKDIR /work
COPY --chown=7:8 src /src
RUN --mount=type=bind,source=src,target=/m echo ran-$((40+2))-two; nproc > /two; cat /m/a >> /two
COPY --from=tools /tool /bin/tool
";

#[test]
fn a_container_with_one_processor_finds_what_a_machine_left_in_the_cache_and_the_other_way_round() {
    skip_without_ground!();
    skip_unless!(needs::root());
    let jobs = Jobs::new(STEPS);
    jobs.project.write("src/a", "1\n");
    let outside = || {
        let state = tempfile::tempdir().unwrap();
        let mut build = Command::new(executor::path().unwrap());
        build.args(["build", "--isolation=namespaces", "--no-push", "--cache"]);
        build.arg(format!(
            "--cache-repo=oci:{}",
            jobs.kept().join("layers").display()
        ));
        build.args(["--registry-mirror", &jobs.ground.mirror.address()]);
        build
            .arg("--state-dir")
            .arg(state.path())
            .arg(jobs.project.path());
        build.env_remove("CI").env_remove("GITLAB_CI");
        process::finish(&mut build).unwrap().success()
    };
    let inside = || {
        let flags = [
            "--isolation=rootswap",
            "--cache=true",
            "--cache-repo=oci:/kept/layers",
        ];
        let job = jobs.container(&flags).flag("--cpuset-cpus=0");
        job.run().unwrap().1.success()
    };
    assert_eq!(executed(&outside()), ["tools", "two"]);
    assert_eq!(executed(&inside()), [""; 0]);
    jobs.layers();
    jobs.project.write("src/a", "2\n");
    assert_eq!(executed(&inside()), ["two"]);
    assert_eq!(executed(&outside()), [""; 0]);
}

fn in_container(ground: &Ground, project: &Project) -> Image {
    std::fs::create_dir(project.join(".out")).unwrap();
    project.write(".dockerignore", ".out\n");
    let words = [
        "--context=/builds/group/project",
        "--oci-layout-path=/builds/group/project/.out/layout",
    ];
    ground
        .job(project, EXECUTOR)
        .args(words)
        .args(REPRODUCIBLE)
        .run()
        .unwrap()
        .1
        .success();
    validate::layout(&project.join(".out/layout")).unwrap()
}

fn on_machine(project: &Project) -> Image {
    let (place, state, out) = (
        Place::new(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let mut build = place.build(state.path());
    build
        .args(REPRODUCIBLE)
        .arg("--oci-layout-path")
        .arg(out.path().join("layout"))
        .arg(project.path());
    process::finish(&mut build).unwrap().success();
    validate::layout(&out.path().join("layout")).unwrap()
}
