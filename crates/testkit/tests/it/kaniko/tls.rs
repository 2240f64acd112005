//! A registry whose certificate only a private authority vouches for.

use std::path::Path;

use yadokari_testkit::docker::Spec;
use yadokari_testkit::{Mirror, validate};

use crate::support::job::{DEBUG, Ground, REPOSITORY, SNIPPET, skip_without_ground};
use crate::support::project::Project;

const DOCKERFILE: &str = "FROM busybox\nRUN echo made > /made\n";

/// Where the authority's certificate is inside the container.
const CERTIFICATE: &str = "/builds/group/project.tmp/CI_SERVER_TLS_CA_FILE";

/// Runs the snippet against the registry under its real name, with the certificate mounted.
fn run(ground: &Ground, certificate: &Path, more: impl Fn(Spec<'_>) -> Spec<'_>) -> (i32, String) {
    let project = Project::new(DOCKERFILE);
    let spec = ground.job_for(&project, DEBUG, &ground.registry.named_address());
    let spec = spec
        .flag("--add-host=registry.test:127.0.0.1")
        .volume(certificate, CERTIFICATE);
    let (_, build) = more(spec)
        .entrypoint("sh")
        .args(["-c", SNIPPET])
        .run()
        .unwrap();
    (build.status, build.output)
}

#[test]
fn the_authority_is_taken_from_gitlabs_variable_or_openssls() {
    skip_without_ground!();
    let ground = Ground::new(Mirror::busybox().unwrap(), true);
    let certificate = ground.registry.authority().unwrap().certificate();
    for variable in ["CI_SERVER_TLS_CA_FILE", "SSL_CERT_FILE"] {
        let (status, output) = run(&ground, &certificate, |spec| {
            spec.env(variable, CERTIFICATE)
        });
        assert_eq!(status, 0, "{variable}:\n{output}");
        validate::pushed(&ground.registry.endpoint(), REPOSITORY, "latest").unwrap();
    }
}

#[test]
fn a_directory_of_authorities_and_kanikos_flag_work_too() {
    skip_without_ground!();
    let ground = Ground::new(Mirror::busybox().unwrap(), true);
    let authority = ground.registry.authority().unwrap();
    let (status, output) = run(&ground, &authority.certificate(), |spec| {
        spec.volume(&authority.directory(), "/authorities")
            .env("SSL_CERT_DIR", "/authorities")
    });
    assert_eq!(status, 0, "SSL_CERT_DIR:\n{output}");

    let project = Project::new(DOCKERFILE);
    let address = ground.registry.named_address();
    let spec = ground.job_for(&project, "yadokari:executor", &address);
    let spec = spec
        .flag("--add-host=registry.test:127.0.0.1")
        .volume(&authority.certificate(), CERTIFICATE);
    let (_, build) = spec
        .args([
            "--context=/builds/group/project",
            &format!("--registry-certificate={address}={CERTIFICATE}"),
        ])
        .args([format!("--destination={address}/{REPOSITORY}:flag")])
        .run()
        .unwrap();
    build.success();
    validate::pushed(&ground.registry.endpoint(), REPOSITORY, "flag").unwrap();
}

#[test]
fn without_the_authority_nothing_is_built_and_the_certificate_is_named() {
    skip_without_ground!();
    let ground = Ground::new(Mirror::busybox().unwrap(), true);
    let certificate = ground.registry.authority().unwrap().certificate();
    let (status, output) = run(&ground, &certificate, |spec| spec);
    assert_eq!(status, 1, "{output}");
    assert!(output.to_lowercase().contains("certificate"), "{output}");
    assert!(
        ground
            .registry
            .endpoint()
            .tags(REPOSITORY)
            .unwrap()
            .is_empty()
    );
}
