//! Credential helper programs, `docker-credential-…`.

use std::io;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Credential, CredentialError, Environment, entry};
use crate::{Secret, host};

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
    let failed = |reason: &str| failed(name, reason);
    let output = run(name, "get", server(registry), environment).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(&complaint(&output)));
    }
    // The answer holds a secret, so it is not part of the message.
    let answer: Answer =
        serde_json::from_str(&text).map_err(|_| failed("its answer cannot be read"))?;
    let empty = answer.username.is_empty() && answer.secret.is_empty();
    Ok((!empty).then(|| entry::password_or_token(answer.username, &answer.secret)))
}

/// Gives a user name and password to `docker-credential-<name>`, to be kept for a registry.
///
/// # Errors
///
/// [`CredentialError::HelperMissing`], or [`CredentialError::Helper`] with what the program says.
pub async fn store(
    name: &str,
    registry: &str,
    username: &str,
    password: &Secret,
    environment: &Environment,
) -> Result<(), CredentialError> {
    let pair = json!({
        "ServerURL": server(registry),
        "Username": username,
        "Secret": password.expose(),
    });
    let output = run(name, "store", &pair.to_string(), environment).await?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(name, &complaint(&output))),
    }
}

/// Tells `docker-credential-<name>` to forget what it keeps for a registry; whether it kept anything.
///
/// # Errors
///
/// As [`store`].
pub async fn erase(
    name: &str,
    registry: &str,
    environment: &Environment,
) -> Result<bool, CredentialError> {
    if ask(name, registry, environment).await?.is_none() {
        return Ok(false);
    }
    let output = run(name, "erase", server(registry), environment).await?;
    match output.status.success() {
        true => Ok(true),
        false => Err(failed(name, &complaint(&output))),
    }
}

fn failed(name: &str, reason: &str) -> CredentialError {
    CredentialError::Helper {
        program: program(name),
        reason: reason.chars().take(500).collect(),
    }
}

/// What a failed helper said, on either of its streams.
fn complaint(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{} {}", text(&output.stdout), text(&output.stderr))
        .trim()
        .to_owned()
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

async fn run(
    name: &str,
    action: &str,
    input: &str,
    environment: &Environment,
) -> Result<Output, CredentialError> {
    if name.contains(['/', '\0']) {
        return Err(failed(name, "its name is a path"));
    }
    let missing = |source| CredentialError::HelperMissing {
        program: program(name),
        source: Arc::new(source),
    };
    let path = program(name);
    let run = feed(&path, action, input, environment);
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(output) => output.map_err(missing),
        Err(_) => Err(failed(name, "no answer in a minute")),
    }
}

async fn feed(
    program: &str,
    action: &str,
    text: &str,
    environment: &Environment,
) -> io::Result<Output> {
    let mut child = Command::new(program)
        .arg(action)
        .env_clear()
        .envs(environment.all())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input still gives its answer.
        let _ = input.write_all(text.as_bytes()).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_helper_with_a_path_in_its_name_is_not_run() {
        let result = ask("../../bin/sh", "r.io", &Environment::default()).await;
        assert!(matches!(result, Err(CredentialError::Helper { .. })));
    }
}
