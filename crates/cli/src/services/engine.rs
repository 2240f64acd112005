//! The container engine of `--load`: where it listens, as docker's own command line finds out.

use std::path::{Path, PathBuf};

use serde_json::Value;
use yadokari_build::Engine;

use crate::environment::Environment;
use crate::report::Failure;

/// Where an engine listens.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Socket(PathBuf),
    /// A URL without a slash at its end.
    Url(String),
}

/// The engine that `DOCKER_HOST` names, or that docker's current context names, or whose socket is found.
///
/// # Errors
///
/// There is no such place, or it is one that cannot be reached from here.
pub(super) fn engine(environment: &Environment) -> Result<Engine, Failure> {
    let (address, name) = find(environment)?;
    let failed = |error: reqwest::Error| Failure::new(&error);
    let client = reqwest::Client::builder().no_proxy();
    match address {
        Address::Socket(path) => {
            let client = client.unix_socket(path).build().map_err(failed)?;
            Ok(Engine::new(client, "http://docker", name))
        }
        Address::Url(url) => {
            let client = match url.starts_with("https://") {
                true => with_certificates(client, environment)?,
                false => client,
            };
            Ok(Engine::new(client.build().map_err(failed)?, url, name))
        }
    }
}

fn find(environment: &Environment) -> Result<(Address, String), Failure> {
    let named = environment
        .text("DOCKER_HOST")
        .map(str::to_owned)
        .or_else(|| of_context(environment));
    if let Some(host) = named {
        let address = parse(&host, environment.text("DOCKER_TLS_VERIFY").is_some())?;
        return Ok((address, host));
    }
    let sockets = sockets(environment);
    let found = sockets.into_iter().find(|path| path.exists());
    let path = found.ok_or_else(|| {
        Failure::told("--load: there is no socket of a container engine here").with_hint(
            "name an engine with DOCKER_HOST, or load an archive: `-o type=docker,dest=- | podman load`",
        )
    })?;
    let name = path.display().to_string();
    Ok((Address::Socket(path), name))
}

/// Reads `unix://…`, `tcp://…` and `http(s)://…`.
fn parse(host: &str, tls: bool) -> Result<Address, Failure> {
    let trimmed = host.trim_end_matches('/');
    match trimmed.split_once("://") {
        Some(("unix", path)) => Ok(Address::Socket(path.into())),
        Some(("tcp", place)) => Ok(Address::Url(match tls {
            true => format!("https://{place}"),
            false => format!("http://{place}"),
        })),
        Some(("http" | "https", _)) => Ok(Address::Url(trimmed.to_owned())),
        _ => Err(
            Failure::told(format!("--load: no way to an engine at {host}")).with_hint(
                "unix://, tcp:// and http(s):// can be reached; elsewhere use \
                 `--output type=docker,dest=- | docker load`",
            ),
        ),
    }
}

/// Sockets where engines usually listen, docker's before podman's, which speaks the same.
fn sockets(environment: &Environment) -> Vec<PathBuf> {
    let runtime = environment.path("XDG_RUNTIME_DIR");
    let below = |name: &str| runtime.as_ref().map(|directory| directory.join(name));
    let system = |path: &str| Some(PathBuf::from(path));
    [
        system("/var/run/docker.sock"),
        below("docker.sock"),
        below("podman/podman.sock"),
        system("/run/podman/podman.sock"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn config_directory(environment: &Environment) -> Option<PathBuf> {
    let usual = || Some(environment.path("HOME")?.join(".docker"));
    environment.path("DOCKER_CONFIG").or_else(usual)
}

/// The host of docker's current context, if it is another than the default.
fn of_context(environment: &Environment) -> Option<String> {
    let directory = config_directory(environment)?;
    let config = json(&directory.join("config.json")).unwrap_or(Value::Null);
    let name = environment
        .text("DOCKER_CONTEXT")
        .or(config["currentContext"].as_str())?;
    let contexts = std::fs::read_dir(directory.join("contexts/meta")).ok()?;
    let mut all = contexts.filter_map(|entry| json(&entry.ok()?.path().join("meta.json")));
    let context = all.find(|context| context["Name"] == name)?;
    Some(context["Endpoints"]["docker"]["Host"].as_str()?.to_owned())
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Adds the certificates of `DOCKER_CERT_PATH`, docker's name for the directory with `ca.pem`, `cert.pem` and `key.pem`.
fn with_certificates(
    client: reqwest::ClientBuilder,
    environment: &Environment,
) -> Result<reqwest::ClientBuilder, Failure> {
    let directory = environment
        .path("DOCKER_CERT_PATH")
        .or_else(|| config_directory(environment))
        .unwrap_or_default();
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read(&path)
            .map_err(|error| Failure::told(format!("cannot read {}: {error}", path.display())))
    };
    let wrong = |error: reqwest::Error| Failure::new(&error);
    let authority = reqwest::Certificate::from_pem(&read("ca.pem")?).map_err(wrong)?;
    let mut own = read("cert.pem")?;
    own.extend(read("key.pem")?);
    let identity = reqwest::Identity::from_pem(&own).map_err(wrong)?;
    Ok(client.tls_certs_only([authority]).identity(identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        let url = |text: &str| Some(Address::Url(text.to_owned()));
        let table = [
            (
                "unix:///run/d.sock",
                false,
                Some(Address::Socket("/run/d.sock".into())),
            ),
            ("tcp://docker:2375", false, url("http://docker:2375")),
            ("tcp://docker:2376/", true, url("https://docker:2376")),
            ("http://h:1", false, url("http://h:1")),
            ("ssh://user@h", false, None),
            ("npipe:////./pipe/x", false, None),
        ];
        for (host, tls, expected) in table {
            assert_eq!(parse(host, tls).ok(), expected, "{host}");
        }
    }

    #[test]
    fn a_context_of_docker_names_its_host() {
        let directory = tempfile::tempdir().unwrap();
        let meta = directory.path().join("contexts/meta/0123");
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"colima","Endpoints":{"docker":{"Host":"unix:///c.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        let config = directory.path().join("config.json");
        std::fs::write(&config, r#"{"currentContext":"colima"}"#).unwrap();
        let with = |more: &[(&str, &str)]| {
            let config = [("DOCKER_CONFIG", directory.path().to_str().unwrap())];
            let variables: Vec<_> = config.iter().chain(more).copied().collect();
            find(&Environment::default().with_variables(variables)).unwrap()
        };
        assert_eq!(with(&[]).0, Address::Socket("/c.sock".into()));
        let host = with(&[("DOCKER_HOST", "unix:///other.sock")]);
        assert_eq!(host.0, Address::Socket("/other.sock".into()));
    }
}
