//! Our own images, built by ourselves from the Dockerfile at the top.

use std::path::Path;

use yadokari_testkit::docker::Spec;
use yadokari_testkit::layout::{Image, Layout};
use yadokari_testkit::{Docker, Mirror, cache, executor, needs, process, skip_unless, validate};

use super::Place;
use crate::support::job::{DEBUG, Ground, REPOSITORY, SNIPPET, skip_without_ground};
use crate::support::project::Project;

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

fn assert_labelled(image: &Image, target: &str) {
    let labels = &image.config["config"]["Labels"];
    let label = |name: &str| labels[format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(label("title"), "yadokari", "{target}");
    assert_eq!(label("revision"), "abc", "{target}");
    assert_eq!(label("licenses"), "Apache-2.0", "{target}");
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"), "{target}");
    let description = label("description");
    let said = "Builds container images from Dockerfiles";
    assert!(
        description
            .as_str()
            .is_some_and(|text| text.starts_with(said)),
        "{target}: {description}"
    );
}

/// Compressed bytes of all layers.
fn size(image: &Image) -> u64 {
    let layers = image.manifest["layers"].as_array().unwrap().iter();
    layers.filter_map(|layer| layer["size"].as_u64()).sum()
}

#[test]
fn the_flavours_are_small_and_labelled_and_start() {
    skip_unless!(needs::docker(), needs::registry());
    let (place, context, state) = (Place::new(), context(), tempfile::tempdir().unwrap());
    let docker = Docker::start().unwrap();
    let executable = executor::path().unwrap().metadata().unwrap().len();
    for (target, flags, isolation) in [
        ("executor", &[][..], "rootswap"),
        ("debug", &[], "rootswap"),
        ("nonroot", &[UNCONFINED], "namespaces"),
    ] {
        let (name, image) = build(&place, context.path(), state.path(), target, &[]);
        assert_labelled(&image, target);
        assert!(
            size(&image) < executable + 4_000_000,
            "{target} has {} bytes",
            size(&image)
        );
        let (_, said) = docker.container(&name).args(["version"]).run().unwrap();
        assert!(said.success().output.starts_with("yadokari "), "{target}");
        let container = docker.container(&name);
        let container = flags.iter().fold(container, |spec, flag| spec.flag(flag));
        let said = builds(&place, container, target);
        assert_eq!(chosen(&said), Some(isolation), "{target}: {said}");
    }
}

/// With docker's own profile of system calls a container cannot make user namespaces.
const UNCONFINED: &str = "--security-opt=seccomp=unconfined";

/// Has a flavour's container build and push an image, and gives what it says of it.
fn builds(place: &Place, container: Spec<'_>, target: &str) -> String {
    let project = Project::new("FROM busybox\nRUN echo made by $(id -u) > /made\n");
    everybody(project.path());
    let name = format!("{}/made:{target}", place.registry.address());
    let container = container
        .env("KANIKO_REGISTRY_MIRROR", &place.mirror.address())
        .volume(project.path(), "/context");
    let words = ["--context=/context", "--verbosity=debug", "--destination"];
    let words = words.into_iter().chain([name.as_str()]);
    let (_, said) = container.args(words).run().unwrap();
    let said = said.success().output;
    let (registry, directory) = (place.registry.endpoint(), tempfile::tempdir().unwrap());
    validate::pushed(&registry, "made", target).unwrap();
    let layout = registry.pull("made", target, directory.path()).unwrap();
    assert_eq!(file_of(&layout, "made").unwrap(), "made by 0\n", "{target}");
    said
}

/// Lets the container's user read a context.
fn everybody(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory, mode).unwrap();
}

/// The isolation that a build chose, which is the first of those that it found to work.
fn chosen(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("isolation works (isolation ")?;
    rest.split([',', ')']).next()
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
    let (name, image) = build(
        &place,
        context.path(),
        state.path(),
        "git",
        &["--build-arg", debian],
    );
    assert_labelled(&image, "git");
    let base = image.manifest["layers"][0]["size"].as_u64().unwrap();
    let executable = executor::path().unwrap().metadata().unwrap().len();
    let added = size(&image) - base;
    assert!(
        added < executable + 60_000_000,
        "{added} bytes over Debian's {base}"
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

/// Nothing of another platform is run for it, so one machine is enough.
#[test]
fn the_images_of_two_platforms_come_from_one_build() {
    skip_unless!(needs::registry());
    let (place, context, state) = (Place::new(), context(), tempfile::tempdir().unwrap());
    let dist = context.path().join("target/dist");
    for architecture in ["amd64", "arm64"] {
        std::fs::create_dir(dist.join(architecture)).unwrap();
        let text = format!("an executable for {architecture}");
        std::fs::write(dist.join(architecture).join("yadokari"), text).unwrap();
    }
    for target in ["executor", "debug", "nonroot"] {
        let name = format!("{}/yadokari:{target}", place.registry.address());
        let mut command = place.build(state.path());
        command
            .args(["--target", target, "--tag", &name, "--push", "--cache"])
            .args([
                "--build-arg",
                "EXECUTABLE=cross",
                "--platform",
                "linux/amd64,linux/arm64",
            ])
            .arg(context.path());
        process::finish(&mut command).unwrap().success();
        for architecture in ["amd64", "arm64"] {
            let said = executable_of(&place, target, architecture);
            assert_eq!(
                said,
                format!("an executable for {architecture}"),
                "{target}"
            );
        }
    }
}

/// What an index has as `/kaniko/executor` for an architecture.
fn executable_of(place: &Place, tag: &str, architecture: &str) -> String {
    let endpoint = place.registry.endpoint();
    let (_, index) = endpoint.manifest("yadokari", tag).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let mut entries = index["manifests"].as_array().unwrap().iter();
    let entry = entries.find(|entry| entry["platform"]["architecture"] == architecture);
    let digest = entry.unwrap()["digest"].as_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let layout = endpoint.pull("yadokari", digest, directory.path()).unwrap();
    let image = layout.image().unwrap();
    assert_eq!(image.config["architecture"], architecture);
    file_of(&layout, "kaniko/executor").unwrap()
}

/// The text of a file of the last layer that has it.
fn file_of(layout: &Layout, path: &str) -> Option<String> {
    let image = layout.image().unwrap();
    let layers = image.layers();
    let mut found = layers.iter().rev().filter_map(|layer| {
        let mut archive = tar::Archive::new(layout.open_layer(layer).unwrap());
        archive.entries().unwrap().find_map(|entry| {
            let mut entry = entry.unwrap();
            let is_it = entry.path().unwrap().ends_with(path);
            is_it.then(|| std::io::read_to_string(&mut entry).unwrap())
        })
    });
    found.next()
}

#[test]
fn a_job_without_privileges_builds_our_image() {
    skip_without_ground!();
    let (ground, project) = (Ground::busybox(), Project::of(context()));
    let script = "/kaniko/executor --context \"$CI_PROJECT_DIR\" --target debug --build-arg REVISION=abc \
        --destination \"$CI_REGISTRY_IMAGE:debug\" && /kaniko/executor version";
    let job = ground
        .job(&project, DEBUG)
        .entrypoint("sh")
        .args(["-ec", script]);
    job.run().unwrap().1.success();
    let endpoint = ground.registry.endpoint();
    assert_labelled(
        &validate::pushed(&endpoint, REPOSITORY, "debug").unwrap(),
        "debug",
    );
    ground.docker.login(&endpoint).unwrap();
    let name = format!("{}/{REPOSITORY}:debug", ground.registry.address());
    ground.docker.pull(&name).unwrap();
    let container = ground.docker.container(&name).entrypoint("sh");
    let (_, said) = container
        .args(["-ec", "yadokari version; ls /workspace; id -u"])
        .run()
        .unwrap();
    let said = said.success().output;
    assert!(
        said.starts_with("yadokari ") && said.ends_with("0\n"),
        "{said}"
    );
    // A job in the image that was made, as in the one that made it.
    let next = Project::new("FROM busybox\nRUN echo made by its image > /made\n");
    let job = ground
        .job(&next, &name)
        .entrypoint("sh")
        .args(["-c", SNIPPET]);
    job.run().unwrap().1.success();
    validate::pushed(&endpoint, REPOSITORY, "latest").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let layout = endpoint
        .pull(REPOSITORY, "latest", directory.path())
        .unwrap();
    assert_eq!(file_of(&layout, "made").unwrap(), "made by its image\n");
}
