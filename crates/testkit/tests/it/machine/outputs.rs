//! Images and trees that are written to the disk.

use std::process::Command;

use yadokari_testkit::docker::Flavour;
use yadokari_testkit::{Docker, Layout, Listing, base, needs, process, skip_unless, validate};

use super::Place;
use crate::support::project::Project;

const DOCKERFILE: &str = "FROM busybox\nCOPY greeting /srv/\nCMD [\"cat\", \"/srv/greeting\"]\n";

fn build(output: &str, more: &[&str]) -> (Project, tempfile::TempDir) {
    let (place, project, state) = (
        Place::new(),
        Project::new(DOCKERFILE),
        tempfile::tempdir().unwrap(),
    );
    project.write("greeting", "good day\n");
    let out = tempfile::tempdir().unwrap();
    let output = output.replace("OUT", out.path().to_str().unwrap());
    let mut build = place.build(state.path());
    build
        .args(["--output", &output])
        .args(more)
        .arg(project.path());
    process::finish(&mut build).unwrap().success();
    (project, out)
}

#[test]
fn an_oci_layout_is_a_directory_or_an_archive() {
    skip_unless!(needs::root(), needs::registry());
    let (_project, out) = build("type=oci,tar=false,dest=OUT/layout", &[]);
    let image = validate::layout(&out.path().join("layout")).unwrap();
    assert_eq!(image.config["config"]["Cmd"][1], "/srv/greeting");

    let (_project, out) = build("type=oci,dest=OUT/image.tar", &[]);
    let unpacked = out.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    process::run(
        Command::new("tar")
            .arg("-xf")
            .arg(out.path().join("image.tar"))
            .arg("-C")
            .arg(&unpacked),
    )
    .unwrap();
    validate::layout(&unpacked).unwrap();
}

#[test]
fn a_docker_archive_is_loaded_and_run_by_docker() {
    skip_unless!(needs::docker(), needs::registry());
    let (_project, out) = build(
        "type=docker,dest=OUT/image.tar",
        &["--tag", "example/app:v1"],
    );
    let docker = Docker::start().unwrap();
    process::run(
        docker
            .command()
            .args(["load", "--input"])
            .arg(out.path().join("image.tar")),
    )
    .unwrap();
    let (_, said) = docker.container("example/app:v1").run().unwrap();
    assert_eq!(said.success().output, "good day\n");
}

#[test]
fn an_image_is_loaded_into_docker_without_an_archive_between() {
    skip_unless!(needs::root(), needs::docker(), needs::registry());
    let (place, docker) = (Place::new(), Docker::start().unwrap());
    let (project, state) = (Project::new(DOCKERFILE), tempfile::tempdir().unwrap());
    project.write("greeting", "good day\n");
    let mut build = place.build(state.path());
    for (name, value) in docker.command().get_envs() {
        if let (true, Some(value)) = (name == "DOCKER_HOST", value) {
            build.env(name, value);
        }
    }
    build.args(["--load", "--quiet", "--tag", "example/app:v2"]);
    let built = process::finish(build.arg(project.path()))
        .unwrap()
        .success();
    let mut inspect = docker.command();
    inspect.args(["image", "inspect", "--format={{.Id}}", "example/app:v2"]);
    let id = process::run(&mut inspect).unwrap();
    assert!(
        built.output.contains(id.trim()),
        "{} is not {id}",
        built.output
    );
    let (_, said) = docker.container("example/app:v2").run().unwrap();
    assert_eq!(said.success().output, "good day\n");
}

#[test]
fn a_local_directory_holds_the_final_tree() {
    skip_unless!(needs::root(), needs::docker(), needs::registry());
    let (_project, out) = build("type=local,dest=OUT/tree", &[]);
    let tree = out.path().join("tree");
    assert_eq!(
        std::fs::read_to_string(tree.join("srv/greeting")).unwrap(),
        "good day\n"
    );
    let busybox = base::busybox().unwrap();
    let layer = &busybox.image().unwrap().layers()[0];
    let expected = Listing::of_tar(&mut busybox.open_layer(layer).unwrap()).unwrap();
    let mut pack = Command::new("tar");
    let archive = out.path().join("tree.tar");
    process::run(pack.arg("-cf").arg(&archive).arg("-C").arg(&tree).arg(".")).unwrap();
    let found = Listing::of_tar(&mut std::fs::File::open(&archive).unwrap()).unwrap();
    expected.assert_same(&found.without("/srv"), "the written tree");
}

#[test]
fn a_layer_is_what_its_command_left_whatever_is_copied_over_it_then() {
    skip_unless!(needs::root(), needs::registry());
    // Making the layer of the command takes longer than the copies.
    let dockerfile = "FROM busybox\n\
        RUN yes | head -c 100000000 > /a && echo before > /y && echo before > /z\n\
        COPY y /y\n\
        COPY y /x\n";
    let (place, project) = (Place::new(), Project::new(dockerfile));
    let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    project.write("y", "after!\n");
    let mut build = place.build(state.path());
    build
        .arg("--output")
        .arg(format!("type=oci,tar=false,dest={}", out.path().display()))
        .arg(project.path());
    process::finish(&mut build).unwrap().success();
    let layout = Layout::open(out.path()).unwrap();
    let layers = layout.image().unwrap().layers();
    let listed =
        |number: usize| Listing::of_tar(&mut layout.open_layer(&layers[number]).unwrap()).unwrap();
    let content = |listing: &Listing, path| listing.get(path).unwrap().content.clone();
    let (command, copied) = (listed(1), listed(2));
    assert_eq!(content(&command, "/y"), content(&command, "/z"));
    assert_ne!(content(&command, "/y"), content(&copied, "/y"));
}

#[test]
fn the_executable_builds_its_own_images() {
    skip_unless!(needs::docker(), needs::registry());
    let (place, state, out) = (
        Place::new(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let (context, executable) = (
        tempfile::tempdir().unwrap(),
        yadokari_testkit::executor::path().unwrap(),
    );
    std::fs::create_dir_all(context.path().join("target/dist")).unwrap();
    std::fs::copy(executable, context.path().join("target/dist/yadokari")).unwrap();
    let dockerfile = yadokari_testkit::cache::workspace().join("Dockerfile");
    let docker = Docker::start().unwrap();
    for target in ["executor", "debug"] {
        let archive = out.path().join(format!("{target}.tar"));
        let mut build = place.build(state.path());
        build.arg("--file").arg(&dockerfile).args([
            "--target",
            target,
            "--tag",
            &format!("own:{target}"),
        ]);
        build
            .arg(format!("--output=type=docker,dest={}", archive.display()))
            .arg(context.path());
        process::finish(&mut build).unwrap().success();
        process::run(docker.command().args(["load", "--input"]).arg(&archive)).unwrap();
    }
    let (_, said) = docker
        .container("own:executor")
        .args(["version"])
        .run()
        .unwrap();
    assert!(said.success().output.contains("yadokari"));
    let script = "test -x /kaniko/warmer && executor version && cd /workspace";
    docker
        .container("own:debug")
        .entrypoint("sh")
        .args(["-ec", script])
        .run()
        .unwrap()
        .1
        .success();

    let known = docker
        .executor_image(
            &yadokari_testkit::executor::path().unwrap(),
            Flavour::Executor,
        )
        .unwrap();
    let listing = |image: &str| docker.container(image).create().unwrap().listing().unwrap();
    listing(known).assert_same(
        &listing("own:executor"),
        "the image that tests use is another",
    );
}
