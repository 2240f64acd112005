//! `examples/languages`: programs from the public package registries, built in a job without privileges, changed, built on the
//! machine from the job's cache, and started.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use yadokari_testkit::docker::Spec;
use yadokari_testkit::{executor, needs, process, skip_unless, validate};

use crate::support::job::{DEBUG, Ground, REPOSITORY};
use crate::support::project::Project;
use crate::support::refusing::Refusing;

/// The machine's certificate authorities, which a proxy before the package registries may need.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What the job of an example says.
const JOB: &str = r#"
/kaniko/executor --context "${CI_PROJECT_DIR}" --destination "${CI_REGISTRY_IMAGE}:latest" --secret id=ca,src=/authorities \
  --network=host --cache=true --cache-repo="${CI_REGISTRY_IMAGE}/cache"
"#;

/// Builds an example twice, the second time after a change, and gives what its program prints.
fn hello(language: &str, changed: &str) -> String {
    let (ground, project) = (
        Ground::debian(),
        Project::copy_of(&format!("examples/languages/{language}")),
    );
    let job: Spec<'_> = ground.job(&project, DEBUG).entrypoint("sh");
    let authorities = Path::new(AUTHORITIES);
    let (_, said) = job
        .volume(authorities, "/authorities")
        .args(["-c", JOB])
        .run()
        .unwrap();
    said.success();
    let text = std::fs::read_to_string(project.join(changed)).unwrap();
    project.write(changed, &text.replace("hello from", "hello again from"));
    let state = tempfile::tempdir().unwrap();
    let proxy = Refusing::start(IpAddr::V4(Ipv4Addr::LOCALHOST), |_| 403);
    let mut build = on_the_machine(&ground, &project);
    // They reach commands and no keys of layers, so what would be downloaded is asked of the proxy.
    for name in ["http_proxy", "https_proxy"] {
        build.args(["--build-arg", &format!("{name}=http://{}", proxy.address())]);
    }
    let again = process::finish(build.arg("--state-dir").arg(state.path())).unwrap();
    let again = again.success().output;
    assert!(again.contains("CACHED"), "{again}");
    assert_eq!(proxy.asked(), 0, "{language} downloads nothing: {again}");
    let endpoint = ground.registry.endpoint();
    validate::pushed(&endpoint, REPOSITORY, "latest").unwrap();
    ground.docker.login(&endpoint).unwrap();
    let name = format!("{}/{REPOSITORY}", ground.registry.address());
    ground.docker.pull(&name).unwrap();
    let (_, said) = ground.docker.container(&name).run().unwrap();
    said.success().output
}

/// The line of the examples' page, with the job's cache and cache mounts.
fn on_the_machine(ground: &Ground, project: &Project) -> Command {
    let (address, login) = (ground.registry.address(), ground.registry.login().unwrap());
    let mut build = Command::new(executor::path().unwrap());
    build.arg("build").arg(project.path());
    build.args([
        "--network",
        "host",
        "--secret",
        &format!("id=ca,src={AUTHORITIES}"),
    ]);
    build.args(["--tag", &format!("{address}/{REPOSITORY}"), "--push"]);
    build.args([
        "--cache",
        "--cache-repo",
        &format!("{address}/{REPOSITORY}/cache"),
        "--cache-mounts=registry",
    ]);
    build
        .env_remove("CI")
        .env_remove("GITLAB_CI")
        .env("KANIKO_REGISTRY_MIRROR", ground.mirror.address())
        .env("CI_REGISTRY", &address)
        .env("CI_REGISTRY_USER", &login.user)
        .env("CI_REGISTRY_PASSWORD", &login.password);
    build
}

/// What the tests of this file need.
macro_rules! skip_without_packages {
    () => {
        skip_unless!(
            needs::root(),
            needs::docker(),
            needs::registry(),
            needs::debian()
        );
    };
}

#[test]
fn c_says_hello() {
    skip_without_packages!();
    assert_eq!(hello("c", "hello.c"), "hello again from C\n");
}

#[test]
fn python_says_hello() {
    skip_without_packages!();
    assert_eq!(
        hello("python", "hello.py"),
        "hello again from Python, 1,234,567\n"
    );
}

#[test]
fn node_says_hello() {
    skip_without_packages!();
    assert_eq!(hello("node", "hello.js"), "hello again from Node, 1m\n");
}

#[test]
fn rust_says_hello() {
    skip_without_packages!();
    assert_eq!(
        hello("rust", "src/main.rs"),
        "hello again from Rust, 1234567\n"
    );
}
