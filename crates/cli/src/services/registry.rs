//! Settings of the registry client, from what the flags said and the variables every program honours.

use std::collections::BTreeMap;
use std::sync::Arc;

use yadokari_registry::credentials::{self, Chain};
use yadokari_registry::{
    ClientCertificate, Clouds, ExtraTries, Mirror, Options, Proxies, Scope, Secret, TlsOptions,
};

use crate::convert::{RegistrySettings, UsageError};
use crate::environment::Environment;

/// Joins settings and variables.
///
/// # Errors
///
/// A mirror or a map names no host.
pub fn options(
    settings: &RegistrySettings,
    environment: &Environment,
) -> Result<Options, UsageError> {
    let scope = |pull, push, hosts: &[String]| Scope {
        pull,
        push,
        registries: hosts.iter().cloned().collect(),
    };
    let options = Options {
        mirrors: Vec::new(),
        registry_map: map(settings)?,
        skip_default_registry_fallback: settings.skip_default_fallback,
        insecure: scope(
            settings.insecure_pull,
            settings.insecure_push,
            &settings.insecure_registries,
        ),
        skip_tls_verify: scope(
            settings.skip_tls_verify_pull,
            settings.skip_tls_verify_push,
            &settings.skip_tls_verify_registries,
        ),
        tls: tls(settings, environment),
        user_agent_suffix: environment.text("UPSTREAM_CLIENT_TYPE").map(str::to_owned),
        // The retry flags add to the tries that are made anyway.
        extra_tries: ExtraTries {
            download: settings.download_retry,
            layer: settings.layer_retry,
            push: settings.push_retry,
        },
        proxies: proxies(environment),
        ..Options::default()
    };
    Ok(Options {
        credentials: Arc::new(credentials(settings, environment, &options)?),
        ..options
    })
}

/// Files of docker and podman first, then the built-in providers that were selected.
fn credentials(
    settings: &RegistrySettings,
    environment: &Environment,
    options: &Options,
) -> Result<Chain, UsageError> {
    let variables = variables(environment);
    let clouds = Clouds::new(variables.clone(), options, super::now);
    let helpers = settings.credential_helpers.as_deref();
    credentials::standard(&variables, helpers, &clouds).map_err(|error| UsageError::Value {
        flag: "credential-helpers",
        value: settings
            .credential_helpers
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(","),
        reason: error.to_string(),
    })
}

/// The environment as the registry's crate takes it.
pub fn variables(environment: &Environment) -> credentials::Environment {
    let variables = environment
        .variables()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    credentials::Environment::new(variables.collect())
}

fn map(settings: &RegistrySettings) -> Result<BTreeMap<String, Vec<Mirror>>, UsageError> {
    let mut map: BTreeMap<String, Vec<Mirror>> = BTreeMap::new();
    for (registry, replacement) in &settings.maps {
        let wrong = |error: yadokari_registry::MirrorError| UsageError::Value {
            flag: "registry-map",
            value: replacement.clone(),
            reason: error.to_string(),
        };
        map.entry(registry.clone())
            .or_default()
            .push(Mirror::parse(replacement).map_err(wrong)?);
    }
    Ok(map)
}

fn tls(settings: &RegistrySettings, environment: &Environment) -> TlsOptions {
    let mut registry_certificates: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (host, file) in &settings.certificates {
        registry_certificates
            .entry(host.clone())
            .or_default()
            .push(file.clone());
    }
    let client = settings.client_certificates.iter().map(|(host, pair)| {
        (
            host.clone(),
            ClientCertificate {
                certificate: pair.certificate.clone(),
                key: pair.key.clone(),
            },
        )
    });
    TlsOptions {
        // GitLab's runner names the certificate authority of its own server here.
        certificates: environment
            .path("CI_SERVER_TLS_CA_FILE")
            .into_iter()
            .collect(),
        registry_certificates,
        client_certificates: client.collect(),
        system_bundle: environment.path("SSL_CERT_FILE"),
        system_directories: environment.path("SSL_CERT_DIR").map(|directories| {
            std::env::split_paths(&directories)
                .filter(|path| !path.as_os_str().is_empty())
                .collect()
        }),
    }
}

/// The lower-case name wins, as in curl.
fn proxies(environment: &Environment) -> Proxies {
    let variable = |name: &str| {
        environment
            .text(name)
            .or_else(|| environment.text(&name.to_ascii_uppercase()))
    };
    Proxies {
        http: variable("http_proxy")
            .or_else(|| variable("all_proxy"))
            .map(Secret::new),
        https: variable("https_proxy")
            .or_else(|| variable("all_proxy"))
            .map(Secret::new),
        no_proxy: variable("no_proxy").map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::default().with_variables(variables.iter().copied())
    }

    #[test]
    fn variables_of_tls_and_proxies_are_honoured() {
        let environment = environment(&[
            ("SSL_CERT_FILE", "/bundle.pem"),
            ("SSL_CERT_DIR", "/a:/b"),
            ("CI_SERVER_TLS_CA_FILE", "/ci.pem"),
            ("HTTPS_PROXY", "http://upper"),
            ("https_proxy", "http://lower"),
            ("NO_PROXY", "localhost"),
        ]);
        let options = options(&RegistrySettings::default(), &environment).unwrap();
        assert_eq!(options.tls.system_bundle, Some("/bundle.pem".into()));
        assert_eq!(
            options.tls.system_directories,
            Some(vec!["/a".into(), "/b".into()])
        );
        assert_eq!(
            options.tls.certificates,
            ["/ci.pem"].map(std::path::PathBuf::from)
        );
        assert_eq!(
            options
                .proxies
                .https
                .map(|proxy| proxy.expose().to_owned())
                .as_deref(),
            Some("http://lower")
        );
        assert!(options.proxies.http.is_none());
        assert_eq!(options.proxies.no_proxy.as_deref(), Some("localhost"));
    }

    #[test]
    fn each_retry_flag_adds_to_its_own_kind_of_request() {
        let settings = RegistrySettings {
            push_retry: 2,
            download_retry: 4,
            layer_retry: 1,
            ..RegistrySettings::default()
        };
        let options = options(&settings, &environment(&[])).unwrap();
        let expected = ExtraTries {
            push: 2,
            download: 4,
            layer: 1,
        };
        assert_eq!(options.extra_tries, expected);
    }

    #[test]
    fn mirrors_keep_their_order() {
        let maps = ["a", "b/c"]
            .map(|mirror| ("docker.io".to_owned(), mirror.to_owned()))
            .to_vec();
        let settings = RegistrySettings {
            maps,
            ..RegistrySettings::default()
        };
        let options = options(&settings, &environment(&[])).unwrap();
        let mirrors: Vec<_> = options.registry_map["docker.io"]
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(mirrors, ["a", "b/c"]);
    }
}
