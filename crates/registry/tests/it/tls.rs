//! Certificates: whom the client trusts, and how it shows its own. Against a real registry.

use std::path::PathBuf;

use yadokari_image::Repository;
use yadokari_registry::{
    Cause, Client, ClientCertificate, Options, RegistryError, Scope, TlsOptions,
};

use crate::fake::options;
use crate::real::{Registry, start};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn tls_config(clients: &str) -> String {
    format!(
        ", tls: {{certificate: {}, key: {}{clients}}}",
        data("server.pem").display(),
        data("server.key").display()
    )
}

/// Tries a push with these settings, changed for the registry's host.
async fn check(
    registry: &Registry,
    change: impl FnOnce(&mut Options, &str),
) -> Result<(), RegistryError> {
    let mut options = Options {
        tls: TlsOptions {
            system_bundle: Some(PathBuf::from("/nonexistent")),
            ..TlsOptions::default()
        },
        ..options()
    };
    change(&mut options, &registry.host);
    let repository = Repository::new(&registry.host, "a").unwrap();
    Client::new(options).unwrap().check_push(&repository).await
}

fn trust(options: &mut Options, host: &str) {
    let files = vec![data("authority.pem")];
    options
        .tls
        .registry_certificates
        .insert(host.to_owned(), files);
}

#[tokio::test]
async fn a_certificate_is_trusted_only_if_the_user_says_so() {
    let Some(registry) = start(&tls_config("")).await else {
        return;
    };
    let failure = check(&registry, |_, _| ()).await.unwrap_err();
    assert!(
        failure.to_string().contains("unknown authority"),
        "{failure}"
    );
    assert!(failure.hint().unwrap().contains("--registry-certificate"));
    assert!(!failure.is_retryable());

    check(&registry, trust).await.unwrap();
    check(&registry, |options, _| {
        options.tls.certificates.push(data("authority.pem"));
    })
    .await
    .unwrap();
    check(&registry, |options, host| {
        options.skip_tls_verify.registries.insert(host.to_owned());
    })
    .await
    .unwrap();
    let only_pull = Scope {
        pull: true,
        ..Scope::default()
    };
    check(&registry, |options, _| options.skip_tls_verify = only_pull)
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_registry_it_is_for() {
    let clients = format!(", clientcas: [{}]", data("authority.pem").display());
    let Some(registry) = start(&tls_config(&clients)).await else {
        return;
    };
    check(&registry, trust).await.unwrap_err();
    check(&registry, |options, host| {
        trust(options, host);
        let own = ClientCertificate {
            certificate: data("server.pem"),
            key: data("server.key"),
        };
        options.tls.client_certificates.insert(host.to_owned(), own);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn plain_http_needs_leave_except_on_this_machine() {
    let Some(registry) = start("").await else {
        return;
    };
    check(&registry, |_, _| ()).await.unwrap();
    // The machine's own address stands for any other host; it may have none besides loopback.
    let port = registry.host.rsplit(':').next().unwrap();
    let elsewhere = Repository::new(&format!("0.0.0.0:{port}"), "a").unwrap();
    let failure = Client::new(options())
        .unwrap()
        .check_push(&elsewhere)
        .await
        .unwrap_err();
    assert!(matches!(*failure.cause, Cause::Connect { .. }), "{failure}");
    assert!(
        failure.hint().unwrap().contains("--insecure-registry"),
        "{failure}"
    );
    let mut allowed = options();
    allowed
        .insecure
        .registries
        .insert(elsewhere.registry().to_owned());
    Client::new(allowed)
        .unwrap()
        .check_push(&elsewhere)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_systems_authorities_can_be_named_by_file_and_by_directory() {
    let Some(registry) = start(&tls_config("")).await else {
        return;
    };
    check(&registry, |options, _| {
        options.tls.system_bundle = Some(data("authority.pem"));
    })
    .await
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(data("authority.pem"), folder.path().join("company.crt")).unwrap();
    check(&registry, |options, _| {
        options.tls.system_directories = Some(vec![folder.path().to_owned()]);
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_check_that_is_skipped_for_pulls_is_not_skipped_for_pushes_and_the_other_way_round() {
    let Some(registry) = start(&tls_config("")).await else {
        return;
    };
    let tls = TlsOptions {
        system_bundle: Some(PathBuf::from("/nonexistent")),
        ..TlsOptions::default()
    };
    let repository = Repository::new(&registry.host, "a").unwrap();
    for pull in [true, false] {
        let skip_tls_verify = Scope {
            pull,
            push: !pull,
            ..Scope::default()
        };
        let options = Options {
            tls: tls.clone(),
            skip_tls_verify,
            ..options()
        };
        let client = Client::new(options).unwrap();
        let pushed = client.check_push(&repository).await;
        let pulled = client.tags(&repository).await;
        assert_eq!(pushed.is_ok(), !pull, "{pushed:?}");
        let pulled = pulled.unwrap_err();
        assert_eq!(pulled.is_not_found(), pull, "{pulled}");
    }
}

#[tokio::test]
async fn a_certificate_for_one_registry_is_not_trusted_for_another() {
    let Some(registry) = start(&tls_config("")).await else {
        return;
    };
    let failure = check(&registry, |options, _| trust(options, "other.example:5000")).await;
    let failure = failure.unwrap_err();
    assert!(
        failure.to_string().contains("unknown authority"),
        "{failure}"
    );
}
