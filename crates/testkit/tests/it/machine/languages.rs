//! `examples/languages`: programs from the public package registries, built and started.

use yadokari_testkit::{Docker, Mirror, cache, needs, process, skip_unless, validate};

use super::Place;

/// Builds an example twice, the second time after a change, and gives what its program prints.
fn hello(language: &str, changed: &str) -> String {
    let place = Place {
        mirror: Mirror::debian().unwrap(),
        ..Place::new()
    };
    let (state, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let example = cache::workspace().join("examples/languages").join(language);
    let mut copy = std::process::Command::new("cp");
    process::run(copy.arg("-r").arg(example.join(".")).arg(project.path())).unwrap();
    let name = format!("{}/{language}", place.registry.address());
    let mut outputs = Vec::new();
    for _ in 0..2 {
        let mut build = place.build(state.path());
        build
            .args(["--network", "host", "--cache", "--tag", &name, "--push"])
            .args(["--secret", "id=ca,src=/etc/ssl/certs/ca-certificates.crt"])
            .arg(project.path());
        outputs.push(process::finish(&mut build).unwrap().success().output);
        let file = project.path().join(changed);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("hello from", "hello again from")).unwrap();
    }
    assert!(outputs[1].contains("CACHED"), "{}", outputs[1]);
    validate::pushed(&place.registry.endpoint(), language, "latest").unwrap();
    let docker = Docker::start().unwrap();
    docker.pull(&name).unwrap();
    let (_, said) = docker.container(&name).run().unwrap();
    said.success().output
}

/// What the tests of this file need.
macro_rules! skip_without_packages {
    () => {
        skip_unless!(needs::docker(), needs::registry(), needs::debian());
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
    assert_eq!(hello("rust", "src/main.rs"), "hello again from Rust\n");
}
