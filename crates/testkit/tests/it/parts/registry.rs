//! `docker-registry` with login, with TLS, and as a mirror.

use std::process::Command;

use yadokari_testkit::registry::Options;
use yadokari_testkit::{Login, Mirror, Registry, base, needs, process, skip_unless, validate};

fn login() -> Login {
    Login {
        user: "ci".into(),
        password: "s3cret:with/odd&signs".into(),
    }
}

#[test]
fn a_login_is_demanded_and_taken() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options {
        login: Some(login()),
        ..Options::default()
    })
    .unwrap();
    let endpoint = registry.endpoint();
    endpoint
        .push(&base::busybox().unwrap(), "group/project", "v1")
        .unwrap();
    assert_eq!(endpoint.tags("group/project").unwrap(), ["v1"]);
    validate::pushed(&endpoint, "group/project", "v1").unwrap();

    let mut nobody = registry.endpoint();
    nobody.login = None;
    assert_eq!(nobody.call(&nobody.url(""), &[]).unwrap().status, 401);
    assert!(
        registry
            .log()
            .contains("PUT /v2/group/project/manifests/v1"),
        "{}",
        registry.log()
    );
}

#[test]
fn tls_is_trusted_with_the_private_authority_alone() {
    skip_unless!(needs::registry(), needs::program("skopeo"));
    let registry = Registry::start(Options {
        tls: true,
        login: Some(login()),
        ..Options::default()
    })
    .unwrap();
    registry
        .endpoint()
        .push(&base::busybox().unwrap(), "app", "v1")
        .unwrap();

    let mut stranger = registry.endpoint();
    stranger.authority = Some("/etc/ssl/certs/ca-certificates.crt".into());
    assert!(stranger.tags("app").is_err());

    let trusted = registry.authority().unwrap().directory();
    let image = format!("docker://{}/app:v1", registry.address());
    let mut inspect = Command::new("skopeo");
    inspect.args([
        "inspect",
        "--creds",
        &format!("{}:{}", login().user, login().password),
        "--cert-dir",
    ]);
    let said = process::run(inspect.arg(trusted).arg(image)).unwrap();
    assert!(said.contains("\"Os\": \"linux\""), "{said}");
}

#[test]
fn a_mirror_serves_busybox_and_refuses_writes() {
    skip_unless!(needs::registry());
    let mirror = Mirror::busybox().unwrap();
    let endpoint = mirror.registry().endpoint();
    validate::pushed(&endpoint, "library/busybox", "latest").unwrap();
    assert!(
        endpoint
            .push(&base::busybox().unwrap(), "library/other", "latest")
            .is_err()
    );
}

#[test]
fn a_mirror_serves_debian() {
    skip_unless!(needs::registry(), needs::debian());
    let mirror = Mirror::debian().unwrap();
    let image =
        validate::pushed(&mirror.registry().endpoint(), "library/debian", base::SUITE).unwrap();
    assert_eq!(image.config["config"]["Cmd"][0], "bash");
}
