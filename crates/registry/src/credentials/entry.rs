//! The keys and entries of `auths` in a Docker config.

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Map, Value, json};
use yadokari_image::Repository;

use super::Credential;
use crate::{Secret, host};

/// How much of a repository's path a key of `auths` covers, `None` if it is for something else.
///
/// Keys are hosts, URLs such as `https://index.docker.io/v1/`, or hosts with the beginning of a path.
pub(super) fn covers(key: &str, repository: &Repository) -> Option<usize> {
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (named, path) = key.split_once('/').unwrap_or((key, ""));
    if host::canonical(named) != host::canonical(repository.registry()) {
        return None;
    }
    let path = match path.trim_end_matches('/') {
        "v1" | "v2" => "",
        path => path,
    };
    let rest = repository.path().strip_prefix(path)?;
    let fits = path.is_empty() || rest.is_empty() || rest.starts_with('/');
    fits.then_some(path.len())
}

/// The credential in an entry; an empty entry, as Docker leaves one behind for a helper, has none.
pub(super) fn read(entry: &Value) -> Result<Option<Credential>, String> {
    let filled: Map<String, Value> = entry
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(token) = filled.get("registrytoken").and_then(Value::as_str) {
        return Ok(Some(Credential::RegistryToken(Secret::new(token))));
    }
    let single = json!({ "auths": { "entry": filled } }).to_string();
    match docker_credential::get_credential_from_reader(single.as_bytes(), "entry") {
        Ok(DockerCredential::IdentityToken(token)) => {
            Ok(Some(Credential::IdentityToken(Secret::new(token))))
        }
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(Some(password_or_token(username, &password)))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        // Messages of the decoder name no secrets.
        Err(error) => Err(error.to_string()),
    }
}

/// A pair in which the name `<token>` marks an identity token.
pub(super) fn password_or_token(username: String, password: &str) -> Credential {
    let password = Secret::new(password.trim_end_matches('\0'));
    if username == "<token>" {
        return Credential::IdentityToken(password);
    }
    Credential::Password { username, password }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cover_hosts_and_paths() {
        let cases = [
            ("https://index.docker.io/v1/", "busybox", Some(0)),
            ("docker.io", "busybox", Some(0)),
            ("docker.io/library", "busybox", Some(7)),
            ("docker.io/lib", "busybox", None),
            ("ghcr.io/org/a", "ghcr.io/org/a", Some(5)),
            ("ghcr.io/org/a", "ghcr.io/org/ab", None),
            ("ghcr.io", "ghcr.io/org/a", Some(0)),
            ("http://localhost:5000", "localhost:5000/a", Some(0)),
            ("localhost", "localhost:5000/a", None),
            ("evil.io/ghcr.io", "ghcr.io/a", None),
        ];
        for (key, name, expected) in cases {
            let repository = Repository::parse(name).unwrap();
            assert_eq!(covers(key, &repository), expected, "{key} {name}");
        }
    }

    #[test]
    fn entries_come_in_several_forms() {
        let password = |username: &str, password: &str| Credential::Password {
            username: username.to_owned(),
            password: Secret::new(password),
        };
        let cases = [
            (json!({"auth": "dTpw"}), Some(password("u", "p"))),
            (json!({"auth": "dTpwOng="}), Some(password("u", "p:x"))),
            (
                json!({"username": "u", "password": "p"}),
                Some(password("u", "p")),
            ),
            (
                json!({"auth": "", "username": "u", "password": "p"}),
                Some(password("u", "p")),
            ),
            (
                json!({"auth": "dTpw", "identitytoken": "t"}),
                Some(Credential::IdentityToken(Secret::new("t"))),
            ),
            (
                json!({"registrytoken": "t"}),
                Some(Credential::RegistryToken(Secret::new("t"))),
            ),
            (
                json!({"username": "<token>", "password": "t"}),
                Some(Credential::IdentityToken(Secret::new("t"))),
            ),
            (json!({}), None),
            (json!(null), None),
            (json!({"email": "x"}), None),
        ];
        for (entry, expected) in cases {
            assert_eq!(read(&entry).unwrap(), expected, "{entry}");
        }
        assert!(read(&json!({"auth": "!!"})).is_err());
        assert!(read(&json!({"auth": "dQ=="})).is_err());
    }
}
