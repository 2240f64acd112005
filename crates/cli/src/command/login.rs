//! `login` and `logout`: credentials in docker's configuration file, or in the store that it names.

mod ask;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use yadokari_registry::credentials as stores;
use yadokari_registry::{Client, Credential, RegistryError, Secret};

pub use self::ask::Prompt;
use self::ask::credentials;
use crate::convert::registry::settings;
use crate::docker_config::{self, read, write};
use crate::environment::Environment;
use crate::flags::{Login, Logout};
use crate::report::Failure;
use crate::services::registry;

/// Tries credentials at their registry, stores them as docker does, and gives what to print.
///
/// What the command line leaves out is asked for at a terminal.
///
/// # Errors
///
/// User name or password are missing, the registry refuses them or cannot be asked, or they cannot be stored.
pub async fn run(
    login: &Login,
    environment: &Environment,
    prompt: &mut dyn Prompt,
) -> Result<String, Failure> {
    let (username, password) = credentials(login, environment, prompt)?;
    let host = host(&login.registry);
    if !login.store_only {
        check(login, environment, host, &username, &password).await?;
    }
    let place = store(environment, host, &username, &password).await?;
    let warning = login.password.is_some().then_some(
        "--password shows the password to others on this machine; use --password-stdin\n",
    );
    Ok(format!(
        "{}credentials for {host} stored in {place}\n",
        warning.unwrap_or_default(),
    ))
}

/// Asks the registry whether it takes the credentials.
async fn check(
    login: &Login,
    environment: &Environment,
    host: &str,
    username: &str,
    password: &Secret,
) -> Result<(), Failure> {
    let settings = settings(&login.reach, environment).map_err(|error| Failure::from(&error))?;
    let options =
        registry::options(&settings, environment).map_err(|error| Failure::from(&error))?;
    let client = Client::new(options).map_err(|error| Failure::new(&error))?;
    let credential = Credential::Password {
        username: username.to_owned(),
        password: password.clone(),
    };
    let checked = client.check_login(host, credential).await;
    checked.map_err(|error| refused(&error))
}

fn refused(error: &RegistryError) -> Failure {
    let failure = Failure::new(error);
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Gives the credentials to the store that the configuration names, or writes them into it; where they are now.
async fn store(
    environment: &Environment,
    host: &str,
    username: &str,
    password: &Secret,
) -> Result<String, Failure> {
    let path = config_path(environment)?;
    let mut config = read(&path)?;
    let (entry, place) = match helper(&config, host) {
        Some(helper) => {
            let environment = registry::variables(environment);
            stores::store(&helper, host, username, password, &environment)
                .await
                .map_err(|error| Failure::new(&error))?;
            // Docker leaves an empty entry, by which it knows what it is logged in to.
            (json!({}), format!("docker-credential-{helper}"))
        }
        None => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            (json!({ "auth": pair }), path.display().to_string())
        }
    };
    auths(&mut config).insert(key(host).to_owned(), entry);
    write(&path, &config)?;
    Ok(place)
}

/// Removes credentials, and gives what to print.
///
/// # Errors
///
/// The file cannot be read or written, or the store that it names fails.
pub async fn logout(logout: &Logout, environment: &Environment) -> Result<String, Failure> {
    let host = host(&logout.registry);
    let path = config_path(environment)?;
    let mut config = read(&path)?;
    let erased = match helper(&config, host) {
        Some(helper) => stores::erase(&helper, host, &registry::variables(environment))
            .await
            .map_err(|error| Failure::new(&error))?,
        None => false,
    };
    let removed = auths(&mut config).remove(key(host)).is_some();
    if removed {
        write(&path, &config)?;
    }
    Ok(match erased || removed {
        true => format!("credentials for {host} removed from {}\n", path.display()),
        false => format!("no credentials for {host} in {}\n", path.display()),
    })
}

/// The program that keeps a registry's credentials.
fn helper(config: &Map<String, Value>, host: &str) -> Option<String> {
    let own = config
        .get("credHelpers")
        .and_then(|all| all.get(key(host)).or_else(|| all.get(host)));
    let name = own.or_else(|| config.get("credsStore"))?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The registry's host, with what precedes it in a URL taken away.
fn host(registry: &str) -> &str {
    let bare = registry
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let bare = bare.trim_end_matches('/');
    match bare
        .strip_suffix("/v1")
        .or_else(|| bare.strip_suffix("/v2"))
    {
        Some(host) => host,
        None => bare,
    }
}

fn config_path(environment: &Environment) -> Result<PathBuf, Failure> {
    let none = || Failure::told("neither DOCKER_CONFIG nor HOME says where credentials are kept");
    docker_config::path(environment).ok_or_else(none)
}

/// Docker Hub goes by its old address there.
fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

fn auths(config: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    if !auths.is_object() {
        *auths = json!({});
    }
    auths
        .as_object_mut()
        .expect("an object was just put there if there was none")
}
