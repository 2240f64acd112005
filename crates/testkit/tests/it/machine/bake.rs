//! Several images from one description, built for real.

use std::path::Path;

use yadokari_testkit::process::{self, Finished};
use yadokari_testkit::{needs, skip_unless, validate};

use super::Place;
use crate::support::project::Project;
use crate::support::steps::executed;

/// `yadokari bake` in a project, with the mirror set and the state in a directory of its own.
fn bake(place: &Place, project: &Project, state: &Path, arguments: &[&str]) -> Finished {
    let mut command = place.yadokari("bake");
    command
        .current_dir(project.path())
        .env("REGISTRY", place.registry.address())
        .args(arguments)
        .arg("--")
        .args(["--registry-mirror", &place.mirror.address(), "--state-dir"])
        .arg(state);
    process::finish(&mut command).unwrap()
}

const COMPOSE: &str = r#"
services:
  web:
    image: ${REGISTRY}/web:1
    build: {context: ., target: web}
  api:
    image: ${REGISTRY}/api:1
    build: {context: ., target: api}
  tools:
    image: ${REGISTRY}/tools:1
    build:
      context: tools
      additional_contexts: {base: "service:web"}
"#;

const SHARED: &str = "FROM busybox AS common\nRUN echo ran-$((40+2))-common && echo c > /common\n\
    FROM common AS web\nRUN echo ran-$((40+2))-web\nFROM common AS api\nRUN echo ran-$((40+2))-api\n";

fn project() -> Project {
    let project = Project::new(SHARED);
    project.write("compose.yaml", COMPOSE);
    project.write(
        "tools/Dockerfile",
        "FROM base\nRUN test -e /common && echo ran-$((40+2))-tools\n",
    );
    project
}

#[test]
fn services_share_stages_and_read_each_others_images() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (Place::new(), project(), tempfile::tempdir().unwrap());
    let finished = bake(&place, &project, state.path(), &["--push"]).success();
    assert_eq!(executed(&finished), ["api", "common", "tools", "web"]);
    let times = finished.output.matches("ran-42-common").count();
    assert_eq!(times, 1, "{}", finished.output);
    for name in ["web", "api", "tools"] {
        validate::pushed(&place.registry.endpoint(), name, "1").unwrap();
    }
    assert!(
        !finished.output.contains("yadokari-bake-"),
        "{}",
        finished.output
    );
}

#[test]
fn a_target_that_fails_hides_none_of_the_others() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project, state) = (Place::new(), project(), tempfile::tempdir().unwrap());
    project.write(
        "more.yaml",
        r#"
services:
  broken:
    image: ${REGISTRY}/broken
    build: {context: tools, dockerfile_inline: "FROM busybox\nRUN exit 7\n"}
  reader:
    image: ${REGISTRY}/reader
    build:
      context: tools
      dockerfile_inline: "FROM base\n"
      additional_contexts: {base: "service:broken"}
"#,
    );
    let files = ["--push", "--file=compose.yaml", "--file=more.yaml"];
    let finished = bake(&place, &project, state.path(), &files);
    assert_eq!(finished.status, 7, "{}", finished.output);
    for expected in [
        "target `broken`: process \"/bin/sh -c exit 7\"",
        "target `reader`: not built: `broken`, which it reads, failed",
        "--> more.yaml (service broken):2",
        "2 of 5 targets failed, 3 built",
        "Built 3 of 5 targets in ",
        &format!("published {}/api:1\n", place.registry.address()),
    ] {
        assert!(
            finished.output.contains(expected),
            "{expected}: {}",
            finished.output
        );
    }
    validate::pushed(&place.registry.endpoint(), "api", "1").unwrap();
}
