//! Credential helper programs, `docker-credential-…`.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use yadokari_image::Repository;

use super::{Candidate, Candidates, Credential, CredentialError, Credentials, Environment, entry};
use crate::host;

/// How long a helper may take; those of the clouds ask a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Runs `docker-credential-<name> get` for a registry; `None` if the helper knows nothing about it.
pub(super) async fn ask(
    name: &str,
    registry: &str,
    environment: &Environment,
) -> Result<Option<Credential>, CredentialError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: &str| CredentialError::Helper {
        program: program.clone(),
        reason: reason.chars().take(500).collect(),
    };
    if name.contains(['/', '\0']) {
        return Err(failed("its name is a path"));
    }
    let missing = |source| CredentialError::HelperMissing {
        program: program.clone(),
        source: Arc::new(source),
    };
    let run = run(&program, server(registry), environment);
    let output = match tokio::time::timeout(PATIENCE, run).await {
        Ok(output) => output.map_err(missing)?,
        Err(_) => return Err(failed("no answer in a minute")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if text.contains("credentials not found") {
            return Ok(None);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(failed(
            format!("{} {}", text.trim(), complaint.trim()).trim(),
        ));
    }
    // The answer holds a secret, so it is not part of the message.
    let answer: Answer =
        serde_json::from_str(&text).map_err(|_| failed("its answer cannot be read"))?;
    let empty = answer.username.is_empty() && answer.secret.is_empty();
    Ok((!empty).then(|| entry::password_or_token(answer.username, &answer.secret)))
}

async fn run(
    program: &str,
    server: &str,
    environment: &Environment,
) -> io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .arg("get")
        .env_clear()
        .envs(environment.all())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input still gives its answer.
        let _ = input.write_all(server.as_bytes()).await;
    }
    child.wait_with_output().await
}

/// The name under which helpers keep a registry.
pub(super) fn server(registry: &str) -> &str {
    match host::canonical(registry) {
        host::DOCKER_HUB => "https://index.docker.io/v1/",
        _ => registry,
    }
}

/// A cloud's own helper program, asked for that cloud's registries if it is installed.
#[derive(Debug, Clone)]
pub struct HelperProgram {
    name: &'static str,
    serves: fn(&str) -> bool,
    environment: Environment,
}

impl HelperProgram {
    /// `docker-credential-gcr`, for Google's registries.
    #[must_use]
    pub fn google(environment: Environment) -> Self {
        Self {
            name: "gcr",
            serves: is_google,
            environment,
        }
    }

    /// `docker-credential-ecr-login`, for Amazon's registries.
    #[must_use]
    pub fn ecr(environment: Environment) -> Self {
        Self {
            name: "ecr-login",
            serves: is_ecr,
            environment,
        }
    }

    /// `docker-credential-acr-env`, for Azure's registries.
    #[must_use]
    pub fn acr(environment: Environment) -> Self {
        Self {
            name: "acr-env",
            serves: is_acr,
            environment,
        }
    }

    async fn look_up(&self, registry: &str) -> Candidates {
        let mut all = Candidates::default();
        if !(self.serves)(host::without_port(registry)) {
            return all;
        }
        match ask(self.name, registry, &self.environment).await {
            Ok(credential) => all.found.extend(credential.map(|credential| Candidate {
                credential,
                source: format!("docker-credential-{}", self.name),
            })),
            Err(CredentialError::HelperMissing { program, .. }) => {
                all.failures.push(CredentialError::CloudHelperMissing {
                    registry: registry.to_owned(),
                    program,
                });
            }
            Err(failure) => all.failures.push(failure),
        }
        all
    }
}

impl Credentials for HelperProgram {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        Box::pin(self.look_up(repository.registry()))
    }
}

fn is_google(host: &str) -> bool {
    host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with("-docker.pkg.dev")
}

fn is_ecr(host: &str) -> bool {
    host == "public.ecr.aws"
        || (host.contains(".dkr.ecr")
            && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")))
}

fn is_acr(host: &str) -> bool {
    host.ends_with(".azurecr.io") || host.ends_with(".azurecr.cn") || host.ends_with(".azurecr.us")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_are_told_by_their_hosts() {
        assert!(is_google("eu.gcr.io") && is_google("europe-docker.pkg.dev"));
        assert!(!is_google("gcr.io.evil.com") && !is_google("evilgcr.io"));
        assert!(is_ecr("1.dkr.ecr.eu-west-1.amazonaws.com") && is_ecr("public.ecr.aws"));
        assert!(!is_ecr("1.dkr.ecr.eu-west-1.amazonaws.com.evil.com"));
        assert!(is_acr("x.azurecr.io") && !is_acr("azurecr.io.evil.com"));
    }

    #[tokio::test]
    async fn a_cloud_helper_that_is_not_installed_is_named() {
        let nowhere = Environment::from([("PATH", "/nonexistent")]);
        let google = HelperProgram::google(nowhere);
        assert!(google.look_up("r.io").await.failures.is_empty());
        let failures = google.look_up("gcr.io").await.failures;
        assert!(failures[0].to_string().contains("docker-credential-gcr"));
    }

    #[tokio::test]
    async fn a_helper_with_a_path_in_its_name_is_not_run() {
        let result = ask("../../bin/sh", "r.io", &Environment::default()).await;
        assert!(matches!(result, Err(CredentialError::Helper { .. })));
    }
}
