//! `login` and `logout`: credentials in docker's configuration file.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::environment::Environment;
use crate::flags::{Login, Logout};
use crate::report::{Failure, UNUSABLE};

/// Stores credentials as docker does, without trying them, and gives what to print.
///
/// # Errors
///
/// User name or password are missing, or the file cannot be read or written.
pub fn run(
    login: &Login,
    environment: &Environment,
    read_password: impl FnOnce() -> io::Result<String>,
) -> Result<String, Failure> {
    let username = login.username.as_deref().filter(|name| !name.is_empty());
    let username = username.ok_or_else(|| missing("--username"))?;
    let password = match (&login.password, login.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => read_password()
            .map_err(|error| Failure::told(format!("cannot read the password: {error}")))?,
        (None, false) => return Err(missing("--password-stdin")),
    };
    let path = config_path(environment)?;
    let mut config = read(&path)?;
    let auth = STANDARD.encode(format!("{username}:{password}"));
    auths(&mut config).insert(key(&login.registry).to_owned(), json!({ "auth": auth }));
    write(&path, &config)?;
    let warning = login.password.is_some().then_some(
        "--password shows the password to others on this machine; use --password-stdin\n",
    );
    Ok(format!(
        "{}credentials for {} stored in {}\n",
        warning.unwrap_or_default(),
        login.registry,
        path.display()
    ))
}

/// Removes credentials, and gives what to print.
///
/// # Errors
///
/// The file cannot be read or written.
pub fn logout(logout: &Logout, environment: &Environment) -> Result<String, Failure> {
    let path = config_path(environment)?;
    let mut config = read(&path)?;
    if auths(&mut config).remove(key(&logout.registry)).is_none() {
        return Ok(format!(
            "no credentials for {} in {}\n",
            logout.registry,
            path.display()
        ));
    }
    write(&path, &config)?;
    Ok(format!(
        "credentials for {} removed from {}\n",
        logout.registry,
        path.display()
    ))
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
    match registry
        .trim_start_matches("https://")
        .trim_end_matches('/')
    {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" | "index.docker.io/v1" => {
            "https://index.docker.io/v1/"
        }
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

    fn environment(directory: &Path) -> Environment {
        Environment::default().with_variables([("DOCKER_CONFIG", directory.as_os_str())])
    }

    fn login(registry: &str, password: Option<&str>) -> Login {
        Login {
            registry: registry.to_owned(),
            username: Some("me".to_owned()),
            password: password.map(str::to_owned),
            password_stdin: password.is_none(),
        }
    }

    #[test]
    fn a_login_keeps_what_else_is_in_the_file_and_a_logout_removes_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"credsStore":"x","auths":{"other":{"auth":"eA=="}}}"#,
        )
        .unwrap();
        let environment = environment(directory.path());
        let told = run(&login("r.example:5000", None), &environment, || {
            Ok("pass:word".to_owned())
        })
        .unwrap();
        assert!(!told.contains("pass"), "{told}");
        let config = read(&path).unwrap();
        assert_eq!(
            config["auths"]["r.example:5000"]["auth"],
            STANDARD.encode("me:pass:word")
        );
        assert_eq!(
            (&config["credsStore"], &config["auths"]["other"]["auth"]),
            (&json!("x"), &json!("eA=="))
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
        .unwrap();
        assert_eq!(read(&path).unwrap()["auths"].as_object().unwrap().len(), 1);
    }

    #[test]
    fn docker_hub_is_stored_under_its_old_address() {
        let directory = tempfile::tempdir().unwrap();
        let environment = environment(directory.path());
        let told = run(
            &login("docker.io", Some("p")),
            &environment,
            || unreachable!(),
        )
        .unwrap();
        assert!(told.contains("--password-stdin"), "{told}");
        let config = read(&directory.path().join("config.json")).unwrap();
        assert!(config["auths"]["https://index.docker.io/v1/"].is_object());
    }

    #[test]
    fn a_login_without_password_is_unusable() {
        let nobody = Login {
            password_stdin: false,
            ..login("r", None)
        };
        let failure = run(&nobody, &Environment::default(), || unreachable!()).unwrap_err();
        assert_eq!(failure.code, UNUSABLE);
    }
}
