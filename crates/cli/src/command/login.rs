//! `login` and `logout`: credentials in docker's configuration file, or in the store that it names.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use yadokari_registry::credentials;
use yadokari_registry::{Client, Credential, RegistryError, Secret};

use crate::convert::registry::settings;
use crate::environment::Environment;
use crate::flags::{Login, Logout};
use crate::report::{Failure, UNUSABLE};
use crate::services::registry;

/// Tries credentials at their registry, stores them as docker does, and gives what to print.
///
/// # Errors
///
/// User name or password are missing, the registry refuses them or cannot be asked, or they cannot be stored.
pub async fn run(
    login: &Login,
    environment: &Environment,
    read_password: impl FnOnce() -> io::Result<String>,
) -> Result<String, Failure> {
    let username = login.username.as_deref().filter(|name| !name.is_empty());
    let username = username.ok_or_else(|| missing("--username"))?;
    let password = password(login, read_password)?;
    let host = host(&login.registry);
    if !login.store_only {
        check(login, environment, host, username, &password).await?;
    }
    let place = store(environment, host, username, &password).await?;
    let warning = login.password.is_some().then_some(
        "--password shows the password to others on this machine; use --password-stdin\n",
    );
    Ok(format!(
        "{}credentials for {host} stored in {place}\n",
        warning.unwrap_or_default(),
    ))
}

fn password(
    login: &Login,
    read_password: impl FnOnce() -> io::Result<String>,
) -> Result<Secret, Failure> {
    let password = match (&login.password, login.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => read_password()
            .map_err(|error| Failure::told(format!("cannot read the password: {error}")))?,
        (None, false) => String::new(),
    };
    match password.is_empty() {
        true => Err(missing("--password-stdin")),
        false => Ok(Secret::new(password)),
    }
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
            credentials::store(&helper, host, username, password, &environment)
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
        Some(helper) => credentials::erase(&helper, host, &registry::variables(environment))
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

fn missing(flag: &str) -> Failure {
    Failure {
        code: UNUSABLE,
        ..Failure::told(format!("{flag} is missing"))
    }
    .with_hint("echo \"$PASSWORD\" | yadokari login --username NAME --password-stdin REGISTRY")
}

/// The first of the files that credentials are looked up in.
fn config_path(environment: &Environment) -> Result<PathBuf, Failure> {
    let directory = environment
        .path("DOCKER_CONFIG")
        .or_else(|| Some(environment.path("HOME")?.join(".docker")));
    let none = || Failure::told("neither DOCKER_CONFIG nor HOME says where credentials are kept");
    directory
        .map(|directory| directory.join("config.json"))
        .ok_or_else(none)
}

/// Docker Hub goes by its old address there.
fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        host => host,
    }
}

fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => {
            return Err(Failure::told(format!(
                "cannot read {}: {error}",
                path.display()
            )));
        }
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(Failure::told(format!(
            "{} is not a docker configuration",
            path.display()
        ))),
        Err(error) => Err(Failure::told(format!(
            "{} is not a docker configuration: {error}",
            path.display()
        ))),
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

/// Replaces the file in one step, readable by its owner alone.
fn write(path: &Path, config: &Map<String, Value>) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::told(format!("cannot write {}: {error}", path.display()));
    let text = format!("{:#}\n", Value::Object(config.clone()));
    let beside = path.with_extension("json.new");
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::flags::RegistryFlags;

    fn environment(directory: &Path) -> Environment {
        Environment::default().with_variables([("DOCKER_CONFIG", directory.as_os_str())])
    }

    fn login(registry: &str, password: Option<&str>) -> Login {
        Login {
            registry: registry.to_owned(),
            username: Some("me".to_owned()),
            password: password.map(str::to_owned),
            password_stdin: password.is_none(),
            store_only: true,
            reach: RegistryFlags::default(),
        }
    }

    #[tokio::test]
    async fn a_login_keeps_what_else_is_in_the_file_and_a_logout_removes_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"credHelpers":{"x":"y"},"auths":{"other":{"auth":"eA=="}}}"#,
        )
        .unwrap();
        let environment = environment(directory.path());
        let told = run(&login("r.example:5000", None), &environment, || {
            Ok("pass:word".to_owned())
        })
        .await
        .unwrap();
        assert!(!told.contains("pass"), "{told}");
        let config = read(&path).unwrap();
        assert_eq!(
            config["auths"]["r.example:5000"]["auth"],
            STANDARD.encode("me:pass:word")
        );
        assert_eq!(
            (&config["credHelpers"], &config["auths"]["other"]["auth"]),
            (&json!({"x": "y"}), &json!("eA=="))
        );
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        logout(
            &Logout {
                registry: "r.example:5000".to_owned(),
            },
            &environment,
        )
        .await
        .unwrap();
        assert_eq!(read(&path).unwrap()["auths"].as_object().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn docker_hub_is_stored_under_its_old_address() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path());
        let told = run(
            &login("docker.io", Some("p")),
            &environment,
            || unreachable!(),
        )
        .await
        .unwrap();
        assert!(told.contains("--password-stdin"), "{told}");
        let config = read(&directory.path().join("config.json")).unwrap();
        assert!(config["auths"]["https://index.docker.io/v1/"].is_object());
    }

    #[tokio::test]
    async fn a_login_without_password_is_unusable() {
        let nobody = Login {
            password_stdin: false,
            ..login("r", None)
        };
        let failure = run(&nobody, &Environment::default(), || unreachable!())
            .await
            .unwrap_err();
        assert_eq!(failure.code, UNUSABLE);
    }

    #[tokio::test]
    async fn a_store_that_is_named_keeps_the_password() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("docker-credential-kept");
        let kept = directory.path().join("kept");
        let script = format!(
            "#!/bin/sh\ncase $1 in\nstore) cat > {kept} ;;\nget) [ -f {kept} ] && echo '{{\"Username\":\"me\",\"Secret\":\"p\"}}' || {{ echo credentials not found in native keychain; exit 1; }} ;;\nerase) rm {kept} ;;\nesac\n",
            kept = kept.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = directory.path().join("config.json");
        std::fs::write(&config, r#"{"credsStore":"kept"}"#).unwrap();
        let path = format!("{}:/usr/bin:/bin", directory.path().display());
        let config_directory = directory.path().display().to_string();
        let variables = [("PATH", path), ("DOCKER_CONFIG", config_directory)];
        let environment = Environment::default().with_variables(variables);
        let told = run(&login("r.example", None), &environment, || {
            Ok("hunter2".to_owned())
        })
        .await
        .unwrap();
        assert!(told.contains("docker-credential-kept"), "{told}");
        let given: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
        let expected = json!({"ServerURL": "r.example", "Username": "me", "Secret": "hunter2"});
        assert_eq!(given, expected);
        let text = std::fs::read_to_string(&config).unwrap();
        assert!(
            text.contains("r.example") && !text.contains("hunter2"),
            "{text}"
        );
        let gone = Logout {
            registry: "https://r.example/v2/".to_owned(),
        };
        assert!(
            logout(&gone, &environment)
                .await
                .unwrap()
                .contains("removed")
        );
        assert!(!kept.exists());
        assert!(
            logout(&gone, &environment)
                .await
                .unwrap()
                .contains("no credentials")
        );
    }
}
