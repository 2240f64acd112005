//! Secrets and ssh agents, in kaniko's and docker's spelling, which are the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use yadokari_build::{Secret, SecretSource, Secrets};

use super::{Given, UsageError};
use crate::flags::go;

/// Reads `--secret` and `--ssh`.
pub(super) fn secrets(given: Given<'_>) -> Result<Secrets, UsageError> {
    let values = given
        .flags
        .kaniko
        .secret
        .iter()
        .map(|line| secret(given, line))
        .collect::<Result<_, _>>()?;
    let mut ssh = BTreeMap::new();
    for line in &given.flags.docker.ssh {
        let (id, paths) = agent(given, line)?;
        if ssh.insert(id, paths).is_some() {
            let reason = "this id stands twice; give all its keys in one --ssh";
            return Err(UsageError::value("ssh", Some(line), reason));
        }
    }
    Ok(Secrets { values, ssh })
}

fn secret(given: Given<'_>, line: &str) -> Result<(String, SecretSource), UsageError> {
    let wrong = |reason: &str| UsageError::value("secret", Some(line), reason);
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for (key, value) in go::options(line).map_err(|reason| wrong(&reason))? {
        let slot = match key.as_str() {
            "id" => &mut id,
            "src" | "source" => &mut file,
            "env" => &mut variable,
            "type" => &mut kind,
            _ => return Err(wrong(&format!("`{key}` is not one of id, src, env, type"))),
        };
        *slot = Some(
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| wrong(&format!("{key}= is empty")))?,
        );
    }
    let id = id.ok_or_else(|| wrong("id= is missing"))?;
    // buildx reads src= as a variable's name when the type says so.
    let (file, variable) = match kind.as_deref() {
        None => (file, variable),
        Some("file") => (file.or_else(|| Some(id.clone())), None),
        Some("env") => (None, variable.or(file).or_else(|| Some(id.clone()))),
        Some(_) => return Err(wrong("type is file or env")),
    };
    source(given, &id, file, variable).map(|source| (id, source))
}

/// A secret without a source is the variable of its name, or else the file of its name.
fn source(
    given: Given<'_>,
    id: &str,
    file: Option<String>,
    variable: Option<String>,
) -> Result<SecretSource, UsageError> {
    let value = |name: &str| {
        given
            .environment
            .variable(name)
            .map(|value| SecretSource::Value(Secret::new(value)))
    };
    let below = |file: &str| SecretSource::File(given.environment.directory.join(file));
    match (file, variable) {
        (Some(file), None) => Ok(below(&file)),
        (None, Some(name)) => value(&name).ok_or(UsageError::VariableMissing {
            flag: "secret",
            variable: name,
        }),
        (None, None) => Ok(value(id).unwrap_or_else(|| below(id))),
        (Some(file), Some(name)) => {
            let (first, second) = (format!("--secret src={file}"), format!("env={name}"));
            Err(UsageError::Contradiction { first, second })
        }
    }
}

fn agent(given: Given<'_>, line: &str) -> Result<(String, Vec<PathBuf>), UsageError> {
    let (id, paths) = line.split_once('=').unwrap_or((line, ""));
    let id = if id.is_empty() { "default" } else { id };
    let paths: Vec<_> = paths
        .split(',')
        .filter(|path| !path.is_empty())
        .map(|path| given.environment.directory.join(path))
        .collect();
    if !paths.is_empty() {
        return Ok((id.to_owned(), paths));
    }
    let missing = || UsageError::VariableMissing {
        flag: "ssh",
        variable: "SSH_AUTH_SOCK".to_owned(),
    };
    let socket = given
        .environment
        .path("SSH_AUTH_SOCK")
        .ok_or_else(missing)?;
    Ok((id.to_owned(), vec![socket]))
}
