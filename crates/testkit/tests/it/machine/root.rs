//! As root.

use yadokari_testkit::{needs, process, skip_unless, validate};

use super::Place;
use crate::support::project::Project;
use crate::support::steps::executed;

const DOCKERFILE: &str = r#"FROM busybox AS tools
ARG WORD=default
RUN echo "$WORD" > /word && echo ran-$((40+2))-tools
FROM busybox AS skipped
RUN echo ran-$((40+2))-skipped
FROM busybox AS final
COPY --from=tools /word /word
RUN chown 1234:1234 /word && echo ran-$((40+2))-final
USER 1234
CMD ["cat", "/word"]
"#;

#[test]
fn a_build_is_pushed_under_its_tags_and_unused_stages_do_not_run() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (
        Place::new(),
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
    );
    let tags = ["one", "two"].map(|tag| format!("{}/app:{tag}", place.registry.address()));
    let mut build = place.build(state.path());
    build.args([
        "--build-arg",
        "WORD=given",
        "-t",
        &tags[0],
        "--tag",
        &tags[1],
        "--push",
        ".",
    ]);
    let finished = process::finish(build.current_dir(project.path()))
        .unwrap()
        .success();
    assert_eq!(executed(&finished), ["final", "tools"]);

    let endpoint = place.registry.endpoint();
    let images = ["one", "two"].map(|tag| validate::pushed(&endpoint, "app", tag).unwrap());
    assert_eq!(images[0].digest(), images[1].digest());
    assert_eq!(images[0].config["config"]["User"], "1234");
}

#[test]
fn a_target_ends_the_build_there_and_another_file_may_be_named() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (
        Place::new(),
        Project::new("FROM no-such-image\n"),
        tempfile::tempdir().unwrap(),
    );
    project.write("build/Other.Dockerfile", DOCKERFILE);
    let mut build = place.build(state.path());
    build.args([
        "-f",
        "build/Other.Dockerfile",
        "--target",
        "tools",
        "--no-push",
        ".",
    ]);
    let finished = process::finish(build.current_dir(project.path()))
        .unwrap()
        .success();
    assert_eq!(executed(&finished), ["tools"]);
}

#[test]
fn a_second_build_on_the_machine_executes_nothing() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (
        Place::new(),
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
    );
    let cache = format!("--cache-repo={}/cache", place.registry.address());
    let run = || {
        let mut build = place.build(state.path());
        build.args(["--no-push", "--cache=true", &cache, "."]);
        process::finish(build.current_dir(project.path()))
            .unwrap()
            .success()
    };
    assert_eq!(executed(&run()), ["final", "tools"]);
    assert_eq!(executed(&run()), [""; 0]);
}

#[test]
fn the_contexts_dockerfile_is_built_and_not_the_one_of_the_current_directory() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (
        Place::new(),
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
    );
    let here = Project::new("FROM no-such-image\n");
    let mut build = place.build(state.path());
    build
        .arg("--no-push")
        .arg(project.path())
        .current_dir(here.path());
    let finished = process::finish(&mut build).unwrap().success();
    assert_eq!(executed(&finished), ["final", "tools"]);
}
