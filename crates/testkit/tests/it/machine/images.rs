//! Our own images, built by ourselves from the Dockerfile at the top.

use std::path::Path;

use yadokari_testkit::layout::Image;
use yadokari_testkit::{Docker, Mirror, cache, executor, needs, process, skip_unless, validate};

use super::Place;

/// A context with what the Dockerfile takes from it, and nothing of this workspace's build.
fn context() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("target/dist");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::copy(executor::path().unwrap(), place.join("yadokari")).unwrap();
    let dockerfile = cache::workspace().join("Dockerfile");
    std::fs::copy(dockerfile, directory.path().join("Dockerfile")).unwrap();
    directory
}

/// Builds a flavour, pushes it, and gives its name and what was pushed.
fn build(
    place: &Place,
    context: &Path,
    state: &Path,
    target: &str,
    more: &[&str],
) -> (String, Image) {
    let name = format!("{}/yadokari:{target}", place.registry.address());
    let mut command = place.build(state);
    command
        .args(["--target", target, "--tag", &name, "--push"])
        .args(["--build-arg", "REVISION=abc", "--cache"])
        .args(more)
        .arg(context);
    process::finish(&mut command).unwrap().success();
    let image = validate::pushed(&place.registry.endpoint(), "yadokari", target).unwrap();
    (name, image)
}

#[test]
fn the_flavours_are_small_and_labelled_and_start() {
    skip_unless!(needs::docker(), needs::registry());
    let (place, context, state) = (Place::new(), context(), tempfile::tempdir().unwrap());
    let docker = Docker::start().unwrap();
    let executable = executor::path().unwrap().metadata().unwrap().len();
    for target in ["executor", "debug", "nonroot"] {
        let (name, image) = build(&place, context.path(), state.path(), target, &[]);
        let config = &image.config["config"];
        let label =
            |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
        assert_eq!(label("title"), "yadokari", "{target}");
        assert_eq!(label("revision"), "abc", "{target}");
        let layers = image.manifest["layers"].as_array().unwrap();
        let size: u64 = layers
            .iter()
            .filter_map(|layer| layer["size"].as_u64())
            .sum();
        assert!(size < executable + 4_000_000, "{target} has {size} bytes");
        let (_, said) = docker.container(&name).args(["version"]).run().unwrap();
        assert!(said.success().output.starts_with("yadokari "), "{target}");
    }
}

#[test]
fn the_debug_flavour_has_a_shell_and_the_other_one_a_user() {
    skip_unless!(needs::docker(), needs::registry());
    let (place, context, state) = (Place::new(), context(), tempfile::tempdir().unwrap());
    let docker = Docker::start().unwrap();
    let (debug, _) = build(&place, context.path(), state.path(), "debug", &[]);
    let script = "ls /kaniko/executor && yadokari version && id -u && pwd";
    let (_, said) = docker
        .container(&debug)
        .entrypoint("sh")
        .args(["-c", script])
        .run()
        .unwrap();
    let said = said.success().output;
    assert!(
        said.starts_with("/kaniko/executor\nyadokari ") && said.ends_with("0\n/workspace\n"),
        "{said}"
    );
    let (_, nonroot) = build(&place, context.path(), state.path(), "nonroot", &[]);
    assert_eq!(nonroot.config["config"]["User"], "65532:65532");
}

#[test]
fn the_flavour_with_git_clones_what_it_builds() {
    skip_unless!(needs::docker(), needs::registry(), needs::debian());
    let (context, state) = (context(), tempfile::tempdir().unwrap());
    let place = Place {
        mirror: Mirror::debian().unwrap(),
        ..Place::new()
    };
    let debian = "DEBIAN=docker.io/library/debian:bookworm";
    let (name, _) = build(
        &place,
        context.path(),
        state.path(),
        "git",
        &["--build-arg", debian],
    );
    let docker = Docker::start().unwrap();
    let script = "git init -q p && cd p && printf 'FROM scratch\\nCOPY a /\\n' > Dockerfile && touch a && \
        yadokari build . --output type=oci,dest=/tmp/a.tar && curl --version > /tmp/v && jq --version";
    let (_, said) = docker
        .container(&name)
        .entrypoint("bash")
        .args(["-ec", script])
        .run()
        .unwrap();
    assert!(said.success().output.contains("jq-"));
}
