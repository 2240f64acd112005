//! Docker's `config.json` and Podman's `auth.json`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use yadokari_image::Repository;

use super::{
    Candidate, Candidates, CloudRegistries, Credential, CredentialError, Credentials, Environment,
    entry, helper,
};
use crate::cloud::Clouds;
use crate::host;

/// A config in Docker's form: `auths`, `credHelpers` and `credsStore`.
///
/// It is read each time it is asked, so a login during a build counts.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    place: Place,
    environment: Environment,
    /// Stand in for helper programs of clouds.
    clouds: Option<Clouds>,
}

#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    /// A variable that holds the config itself.
    Variable(&'static str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Value>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

/// The places where configs are looked for, in order.
pub(super) fn usual(environment: &Environment) -> Vec<DockerConfig> {
    let below = |variable: &str, rest: &str| Some(environment.path(variable)?.join(rest));
    let variable = environment
        .value("DOCKER_AUTH_CONFIG")
        .map(|_| Place::Variable("DOCKER_AUTH_CONFIG"));
    let mut files: Vec<PathBuf> = [
        below("DOCKER_CONFIG", "config.json"),
        below("HOME", ".docker/config.json"),
        environment.path("REGISTRY_AUTH_FILE"),
        below("XDG_RUNTIME_DIR", "containers/auth.json"),
        below("XDG_CONFIG_HOME", "containers/auth.json"),
        below("HOME", ".config/containers/auth.json"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|path| seen.insert(path.clone()));
    variable
        .into_iter()
        .chain(files.into_iter().map(Place::File))
        .map(|place| DockerConfig {
            place,
            environment: environment.clone(),
            clouds: None,
        })
        .collect()
}

/// The registries that the usual configs name, in order and without repeats. What cannot be read names none.
pub async fn named_registries(environment: &Environment) -> Vec<String> {
    let mut names = Vec::new();
    for config in usual(environment) {
        let content = config.content().await.unwrap_or_default();
        names.extend(content.auths.into_keys());
        names.extend(content.cred_helpers.into_keys());
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

impl DockerConfig {
    /// Reads credentials from a file; `environment` is what helper programs run in.
    #[must_use]
    pub fn file(path: PathBuf, environment: Environment) -> Self {
        Self {
            place: Place::File(path),
            environment,
            clouds: None,
        }
    }

    /// Lets `clouds` answer for a helper program of theirs that is named and not installed.
    #[must_use]
    pub fn with_clouds(self, clouds: Clouds) -> Self {
        Self {
            clouds: Some(clouds),
            ..self
        }
    }

    async fn content(&self) -> Result<Content, CredentialError> {
        let bytes = match &self.place {
            Place::Variable(name) => self.environment.value(name).unwrap_or_default().into(),
            Place::File(path) => match tokio::fs::read(path).await {
                Ok(bytes) => bytes,
                Err(error) if is_absent(&error) => return Ok(Content::default()),
                Err(error) => {
                    return Err(CredentialError::Read {
                        path: path.clone(),
                        source: Arc::new(error),
                    });
                }
            },
        };
        serde_json::from_slice(&bytes).map_err(|error| self.invalid(error.to_string()))
    }

    fn invalid(&self, reason: String) -> CredentialError {
        CredentialError::Format {
            place: self.place(),
            reason,
        }
    }

    fn place(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Variable(name) => (*name).to_owned(),
        }
    }

    async fn look_up(&self, repository: &Repository) -> Candidates {
        let mut all = Candidates::default();
        let content = match self.content().await {
            Ok(content) => content,
            Err(failure) => {
                all.failures.push(failure);
                return all;
            }
        };
        if let Some(program) = content.helper(repository.registry()) {
            all = self.ask_helper(program, repository).await;
        }
        match content.credential(repository) {
            Ok(credential) => all.found.extend(credential.map(|credential| Candidate {
                credential,
                source: self.place(),
            })),
            Err(reason) => all.failures.push(self.invalid(reason)),
        }
        all
    }
}

impl DockerConfig {
    async fn ask_helper(&self, program: &str, repository: &Repository) -> Candidates {
        let mut all = Candidates::default();
        let answer = helper::ask(program, repository.registry(), &self.environment).await;
        let stand_in = || CloudRegistries::in_place_of(program, self.clouds.as_ref()?);
        match (answer, stand_in) {
            (Ok(credential), _) => all.found.extend(credential.map(|credential| Candidate {
                credential,
                source: format!("docker-credential-{program}, named in {}", self.place()),
            })),
            (Err(failure @ CredentialError::HelperMissing { .. }), stand_in) => match stand_in() {
                Some(built_in) => all = built_in.candidates(repository).await,
                None => all.failures.push(failure),
            },
            (Err(failure), _) => all.failures.push(failure),
        }
        all
    }
}

impl Credentials for DockerConfig {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        Box::pin(self.look_up(repository))
    }
}

impl Content {
    /// The helper for a registry: its own, or the one for all.
    fn helper(&self, registry: &str) -> Option<&str> {
        let registry = host::canonical(registry);
        self.cred_helpers
            .iter()
            .find(|(key, _)| host::canonical(strip_scheme(key)) == registry)
            .map(|(_, program)| program)
            .or(self.creds_store.as_ref())
            .map(String::as_str)
            .filter(|program| !program.is_empty())
    }

    /// The credential of the entry of `auths` that covers most of the repository's path, of those that hold one.
    fn credential(&self, repository: &Repository) -> Result<Option<Credential>, String> {
        let entries = self.auths.iter().rev();
        let mut entries: Vec<_> = entries
            .filter_map(|(key, entry)| Some((entry::covers(key, repository)?, entry)))
            .collect();
        entries.sort_by_key(|(covered, _)| Reverse(*covered));
        let mut read = entries.into_iter().map(|(_, entry)| entry::read(entry));
        let found = read.find(|read| !matches!(read, Ok(None)));
        found.unwrap_or(Ok(None))
    }
}

fn strip_scheme(key: &str) -> &str {
    let key = key.strip_prefix("https://").unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sources(environment: &Environment, name: &str) -> (Vec<String>, usize) {
        let repository = Repository::parse(name).unwrap();
        let mut found = Vec::new();
        let mut failures = 0;
        for config in usual(environment) {
            let candidates = config.candidates(&repository).await;
            failures += candidates.failures.len();
            found.extend(candidates.found.into_iter().map(
                |candidate| match candidate.credential {
                    super::super::Credential::Password { username, .. } => username,
                    other => format!("{other:?}"),
                },
            ));
        }
        (found, failures)
    }

    #[tokio::test]
    async fn files_are_asked_in_order_and_the_longest_path_wins() {
        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        // a:x, b:x, c:x
        write(
            ".docker/config.json",
            r#"{"auths":{"r.io":{"auth":"YTp4"},"r.io/org":{"auth":"Yjp4"},"r.io/org/left":{}}}"#,
        );
        write(
            ".config/containers/auth.json",
            r#"{"auths":{"r.io":{"auth":"Yzp4"}}}"#,
        );
        let environment = Environment::from([
            ("HOME", home.path().to_str().unwrap()),
            (
                "DOCKER_AUTH_CONFIG",
                r#"{"auths":{"r.io":{"username":"v","password":"x"}}}"#,
            ),
        ]);
        assert_eq!(
            sources(&environment, "r.io/a").await,
            (strings(["v", "a", "c"]), 0)
        );
        assert_eq!(
            sources(&environment, "r.io/org/a").await,
            (strings(["v", "b", "c"]), 0)
        );
        // What docker leaves behind for a helper hides nothing.
        assert_eq!(
            sources(&environment, "r.io/org/left/a").await,
            (strings(["v", "b", "c"]), 0)
        );
        assert_eq!(sources(&environment, "q.io/a").await, (Vec::new(), 0));
    }

    #[tokio::test]
    async fn every_place_has_its_turn() {
        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, user: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = format!(r#"{{"auths":{{"r.io":{{"username":"{user}","password":"x"}}}}}}"#);
            std::fs::write(path, text).unwrap();
        };
        let below = |path: &str| home.path().join(path).display().to_string();
        write("docker/config.json", "docker config");
        write(".docker/config.json", "home");
        write("auth.json", "auth file");
        write("runtime/containers/auth.json", "runtime");
        write("config/containers/auth.json", "config home");
        write(".config/containers/auth.json", "home config");
        let variable = r#"{"auths":{"r.io":{"username":"variable","password":"x"}}}"#;
        let environment = Environment::from([
            ("XDG_CONFIG_HOME", below("config").as_str()),
            ("XDG_RUNTIME_DIR", below("runtime").as_str()),
            ("REGISTRY_AUTH_FILE", below("auth.json").as_str()),
            ("HOME", below("").as_str()),
            ("DOCKER_CONFIG", below("docker").as_str()),
            ("DOCKER_AUTH_CONFIG", variable),
        ]);
        let order = [
            "variable",
            "docker config",
            "home",
            "auth file",
            "runtime",
            "config home",
            "home config",
        ];
        assert_eq!(sources(&environment, "r.io/a").await, (strings(order), 0));
    }

    #[tokio::test]
    async fn a_broken_file_is_a_failure_and_a_missing_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.json"), "{").unwrap();
        let environment = Environment::from([
            ("DOCKER_CONFIG", home.path().to_str().unwrap()),
            ("HOME", "/nonexistent"),
        ]);
        assert_eq!(sources(&environment, "r.io/a").await, (Vec::new(), 1));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_helper_is_asked_before_the_entries() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("docker-credential-fake");
        std::fs::write(
            &program,
            "#!/bin/sh\nread server\n[ \"$server\" = r.io ] || { echo credentials not found in native keychain; exit 1; }\necho '{\"Username\":\"h\",\"Secret\":\"s\"}'\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(
            home.path().join("config.json"),
            r#"{"auths":{"r.io":{"auth":"YTp4"}},"credsStore":"fake","credHelpers":{"x.io":"absent"}}"#,
        )
        .unwrap();
        let path = format!("{}:/usr/bin:/bin", home.path().display());
        let environment = Environment::from([
            ("DOCKER_CONFIG", home.path().to_str().unwrap()),
            ("PATH", &path),
        ]);
        assert_eq!(
            sources(&environment, "r.io/a").await,
            (strings(["h", "a"]), 0)
        );
        assert_eq!(sources(&environment, "q.io/a").await, (Vec::new(), 0));
        assert_eq!(sources(&environment, "x.io/a").await, (Vec::new(), 1));
    }

    fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
        texts.map(str::to_owned).into()
    }
}
