//! How registries are reached: the flags and variables that have to do with them.

use std::path::PathBuf;

use super::{UsageError, is_on};
use crate::environment::Environment;
use crate::flags::RegistryFlags;
use crate::flags::go::KeyValue;

/// What was said about registries. Names are hosts, with a port where they have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Speak plain HTTP when pushing to any registry that does not speak TLS.
    pub insecure_push: bool,
    /// The same when pulling.
    pub insecure_pull: bool,
    /// Plain HTTP in both directions.
    pub insecure_registries: Vec<String>,
    /// Accept any certificate when pushing.
    pub skip_tls_verify_push: bool,
    /// Accept any certificate when pulling.
    pub skip_tls_verify_pull: bool,
    /// Accept any certificate in both directions.
    pub skip_tls_verify_registries: Vec<String>,
    /// Further certificate authorities by host.
    pub certificates: Vec<(String, PathBuf)>,
    /// Client certificates and keys by host.
    pub client_certificates: Vec<(String, ClientCertificate)>,
    /// Registry to replacement with an optional path, in the order to be tried.
    pub maps: Vec<(String, String)>,
    /// Fail when no replacement has an image.
    pub skip_default_fallback: bool,
    /// Attempts at a push after the first, beyond the usual ones.
    pub push_retry: u32,
    /// Attempts at a manifest, a config or the beginning of a layer after the first, beyond the usual ones.
    pub download_retry: u32,
    /// The same for a layer that broke off or came wrong.
    pub layer_retry: u32,
    /// Built-in credential providers that may be asked; `None` is all.
    pub credential_helpers: Option<Vec<String>>,
}

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

const HELPERS: [&str; 5] = ["env", "google", "ecr", "acr", "gitlab"];
const DOCKER_HUB: &str = "docker.io";

/// Reads all flags about registries, and `KANIKO_REGISTRY_MIRROR` and `KANIKO_REGISTRY_MAP`.
///
/// # Errors
///
/// A value that has the wrong form.
pub fn settings(
    flags: &RegistryFlags,
    environment: &Environment,
) -> Result<RegistrySettings, UsageError> {
    Ok(RegistrySettings {
        insecure_push: is_on(flags.insecure),
        insecure_pull: is_on(flags.insecure_pull),
        insecure_registries: nonempty(&flags.insecure_registry),
        skip_tls_verify_push: is_on(flags.skip_tls_verify),
        skip_tls_verify_pull: is_on(flags.skip_tls_verify_pull),
        skip_tls_verify_registries: nonempty(&flags.skip_tls_verify_registry),
        certificates: flags
            .registry_certificate
            .iter()
            .map(|pair| certificate(environment, pair))
            .collect(),
        client_certificates: flags
            .registry_client_cert
            .iter()
            .map(|pair| client_certificate(environment, pair))
            .collect::<Result<_, _>>()?,
        maps: maps(flags, environment)?,
        skip_default_fallback: is_on(flags.skip_default_registry_fallback),
        push_retry: flags.push_retry.unwrap_or(0),
        download_retry: flags.image_download_retry.unwrap_or(0),
        // A layer is unpacked from bytes that are known to be right, so what can fail is getting them.
        layer_retry: flags.image_fs_extract_retry.unwrap_or(0),
        credential_helpers: helpers(&flags.credential_helpers)?,
    })
}

fn nonempty(values: &[String]) -> Vec<String> {
    values
        .iter()
        .filter(|value| !value.is_empty())
        .cloned()
        .collect()
}

fn certificate(environment: &Environment, pair: &KeyValue) -> (String, PathBuf) {
    (pair.key.clone(), environment.directory.join(&pair.value))
}

fn client_certificate(
    environment: &Environment,
    pair: &KeyValue,
) -> Result<(String, ClientCertificate), UsageError> {
    let (certificate, key) = pair
        .value
        .split_once(',')
        .filter(|(_, key)| !key.is_empty())
        .ok_or_else(|| {
            UsageError::value(
                "registry-client-cert",
                Some(&pair.value),
                "expected HOST=CERTIFICATE,KEY",
            )
        })?;
    let below = |path: &str| environment.directory.join(path);
    Ok((
        pair.key.clone(),
        ClientCertificate {
            certificate: below(certificate),
            key: below(key),
        },
    ))
}

/// Maps first, then the mirrors of Docker Hub; flags before variables.
fn maps(
    flags: &RegistryFlags,
    environment: &Environment,
) -> Result<Vec<(String, String)>, UsageError> {
    let lines = flags.registry_map.iter().map(String::as_str);
    let lines = lines.chain(environment.text("KANIKO_REGISTRY_MAP"));
    let pairs = lines
        .flat_map(|line| line.split(';'))
        .filter(|pair| !pair.trim().is_empty());
    let mut maps = pairs.map(map).collect::<Result<Vec<_>, _>>()?;
    maps.extend(
        mirrors(&flags.registry_mirror, environment).map(|mirror| (DOCKER_HUB.to_owned(), mirror)),
    );
    Ok(maps)
}

fn map(pair: &str) -> Result<(String, String), UsageError> {
    let wrong = || {
        UsageError::value(
            "registry-map",
            Some(pair),
            "expected OLD=NEW, several separated by `;`",
        )
    };
    let (old, new) = pair.trim().split_once('=').ok_or_else(wrong)?;
    if old.is_empty() || new.is_empty() {
        return Err(wrong());
    }
    // kaniko's documentation uses both names of Docker Hub.
    let old = if old == "index.docker.io" {
        DOCKER_HUB
    } else {
        old
    };
    Ok((old.to_owned(), new.trim_end_matches('/').to_owned()))
}

fn mirrors<'a>(
    flags: &'a [String],
    environment: &'a Environment,
) -> impl Iterator<Item = String> + 'a {
    let lines = flags
        .iter()
        .map(String::as_str)
        .chain(environment.text("KANIKO_REGISTRY_MIRROR"));
    let hosts = lines
        .flat_map(|line| line.split([',', ';']))
        .map(str::trim)
        .filter(|host| !host.is_empty());
    hosts.map(|host| host.trim_end_matches('/').to_owned())
}

fn helpers(names: &[String]) -> Result<Option<Vec<String>>, UsageError> {
    if names.is_empty() {
        return Ok(None);
    }
    let names = nonempty(names);
    match names.iter().find(|name| !HELPERS.contains(&name.as_str())) {
        Some(name) => Err(UsageError::value(
            "credential-helpers",
            Some(name),
            format!("expected one of {}", HELPERS.join(", ")),
        )),
        None => Ok(Some(names)),
    }
}
