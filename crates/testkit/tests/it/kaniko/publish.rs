//! The snippet, and what docker, skopeo and umoci make of the image.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use yadokari_testkit::layout::Image;
use yadokari_testkit::{needs, process, skip_unless, validate};

use crate::support::job::{COMMIT, EXECUTOR, Ground, REPOSITORY, skip_without_ground};
use crate::support::project::Project;
use crate::support::steps::executed;

/// What the built program says.
const ANSWER: &str =
    "hello world, version dev\nas 4711 of 4711, motd owned by 4711: made of small parts\n";

#[test]
fn the_snippet_builds_a_debian_project_that_every_tool_can_use() {
    skip_without_ground!();
    skip_unless!(
        needs::debian(),
        needs::program("skopeo"),
        needs::program("umoci")
    );
    let (ground, project) = (Ground::debian(), Project::debian());

    let build = ground.run_snippet(&project).success();
    assert_eq!(executed(&build), ["account", "compiler", "packages"]);

    let endpoint = ground.registry.endpoint();
    let image = validate::pushed(&endpoint, REPOSITORY, "latest").unwrap();
    assert_eq!(
        endpoint.digest(REPOSITORY, COMMIT).unwrap(),
        Some(image.digest())
    );
    assert_config(&image);
    docker_runs_it(&ground);
    skopeo_and_umoci_read_it(&ground);
}

#[test]
fn the_bare_image_takes_flags_as_its_command() {
    skip_without_ground!();
    let ground = Ground::busybox();
    let project =
        Project::new("FROM busybox\nRUN echo made > /made\nENTRYPOINT [\"cat\", \"/made\"]\n");
    let destination = format!("{}/{REPOSITORY}:v1", ground.registry.address());
    let words = [
        "--context=/builds/group/project",
        "--destination",
        &destination,
    ];
    let (_, build) = ground.job(&project, EXECUTOR).args(words).run().unwrap();
    build.success();
    validate::pushed(&ground.registry.endpoint(), REPOSITORY, "v1").unwrap();
    ground.docker.login(&ground.registry.endpoint()).unwrap();
    let (_, said) = ground.docker.container(&destination).run().unwrap();
    assert_eq!(said.success().output, "made\n");
}

#[test]
fn digest_files_and_archives_are_written_into_the_workspace() {
    skip_without_ground!();
    skip_unless!(needs::program("skopeo"));
    let ground = Ground::busybox();
    let project = Project::new("FROM busybox\nCOPY Dockerfile /copied\n");
    let destination = format!("{}/{REPOSITORY}:v1", ground.registry.address());
    let workspace = "/builds/group/project";
    let flags = [
        ("digest-file", "digest"),
        ("image-name-with-digest-file", "name"),
        ("oci-layout-path", "layout"),
    ];
    let mut words = vec![
        format!("--context={workspace}"),
        format!("--destination={destination}"),
    ];
    words.extend(flags.map(|(flag, file)| format!("--{flag}={workspace}/out/{file}")));
    std::fs::create_dir(project.join("out")).unwrap();
    ground
        .job(&project, EXECUTOR)
        .args(words)
        .run()
        .unwrap()
        .1
        .success();

    let pushed = validate::pushed(&ground.registry.endpoint(), REPOSITORY, "v1").unwrap();
    let read = |name: &str| std::fs::read_to_string(project.join("out").join(name)).unwrap();
    assert_eq!(read("digest"), pushed.digest());
    let name = format!(
        "{}/{REPOSITORY}@{}",
        ground.registry.address(),
        pushed.digest()
    );
    assert_eq!(read("name").trim(), name);
    assert_eq!(
        validate::layout(&project.join("out/layout"))
            .unwrap()
            .digest(),
        pushed.digest()
    );
}

fn assert_config(image: &Image) {
    let config = &image.config["config"];
    let expected = json!({
        "User": "app",
        "WorkingDir": "/srv/app",
        "Entrypoint": ["hello"],
        "Cmd": ["world"],
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"org.opencontainers.image.title": "hello", "org.opencontainers.image.version": "dev"},
        "Healthcheck": {"Test": ["CMD", "hello", "health"], "Interval": 30_000_000_000_u64, "Retries": 2},
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&config[field], value, "{field}");
    }
    let env = config["Env"].as_array().unwrap();
    assert!(
        env.contains(&json!("APP_VERSION=dev")) && env.contains(&json!("APP_HOME=/srv/app")),
        "{env:?}"
    );
}

fn docker_runs_it(ground: &Ground) {
    ground.docker.login(&ground.registry.endpoint()).unwrap();
    for tag in ["latest", COMMIT] {
        let name = format!("{}/{REPOSITORY}:{tag}", ground.registry.address());
        ground.docker.pull(&name).unwrap();
        let (_, said) = ground.docker.container(&name).run().unwrap();
        assert_eq!(said.success().output, ANSWER);
    }
}

fn skopeo_and_umoci_read_it(ground: &Ground) {
    let scratch = tempfile::tempdir().unwrap();
    let name = format!("docker://{}/{REPOSITORY}:latest", ground.registry.address());
    let login = ground.registry.login().unwrap();
    let login = format!("{}:{}", login.user, login.password);

    let mut inspect = Command::new("skopeo");
    let said =
        process::run(inspect.args(["inspect", "--tls-verify=false", "--creds", &login, &name]))
            .unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["Labels"]["org.opencontainers.image.title"], "hello");

    let layout = scratch.path().join("layout");
    let mut copy = Command::new("skopeo");
    copy.args([
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        "--src-creds",
        &login,
        &name,
    ]);
    process::run(copy.arg(format!("oci:{}:latest", layout.display()))).unwrap();
    let bundle = scratch.path().join("bundle");
    let mut unpack = Command::new("umoci");
    unpack
        .arg("unpack")
        .arg("--image")
        .arg(format!("{}:latest", layout.display()))
        .arg(&bundle);
    process::run(&mut unpack).unwrap();
    assert_unpacked(&bundle.join("rootfs"));
}

fn assert_unpacked(root: &Path) {
    use std::os::unix::fs::MetadataExt;
    let program = root.join("usr/local/bin/hello").metadata().unwrap();
    assert_eq!((program.mode() & 0o7777, program.uid()), (0o755, 0));
    let motd = root.join("srv/app/assets/motd").metadata().unwrap();
    assert_eq!(
        (motd.mode() & 0o7777, motd.uid(), motd.gid()),
        (0o644, 4711, 4711)
    );
    assert!(
        !root.join("notes").exists()
            && !root.join("src").exists()
            && !root.join("usr/bin/tcc").exists()
    );
}
