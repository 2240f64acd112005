//! Docker's configuration file: where it is, reading and replacing it, and the proxies that it names for builds.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::environment::Environment;
use crate::report::Failure;

/// The file that docker's own command line reads and writes; `None` where no variable says where that would be.
pub(crate) fn path(environment: &Environment) -> Option<PathBuf> {
    let directory = environment
        .path("DOCKER_CONFIG")
        .or_else(|| Some(environment.path("HOME")?.join(".docker")));
    directory.map(|directory| directory.join("config.json"))
}

/// Reads a configuration. One that is not there is empty.
///
/// # Errors
///
/// The file cannot be read, or holds something else.
pub(crate) fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
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

/// Replaces the file in one step, readable by its owner alone.
///
/// # Errors
///
/// The disk refuses.
pub(crate) fn write(path: &Path, config: &Map<String, Value>) -> Result<(), Failure> {
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

/// The proxies that every build gets as arguments: those of `DOCKER_HOST`, else the default ones, each by both of its names.
///
/// A file that cannot be read names none; whoever needs credentials from it is told what is wrong with it.
pub(crate) fn build_proxies(environment: &Environment) -> Vec<(String, String)> {
    let config = path(environment).and_then(|path| read(&path).ok());
    let proxies = config.as_ref().and_then(|config| config.get("proxies"));
    let host = environment.text("DOCKER_HOST");
    let own = host.and_then(|host| proxies?.get(host));
    let Some(chosen) = own.or_else(|| proxies?.get("default")) else {
        return Vec::new();
    };
    let value = |key: &str| chosen.get(key)?.as_str().filter(|text| !text.is_empty());
    let named = PROXIES
        .iter()
        .filter_map(|(key, name)| Some((*name, value(key)?)));
    named
        .flat_map(|(name, value)| {
            [name.to_owned(), name.to_ascii_lowercase()].map(|name| (name, value.to_owned()))
        })
        .collect()
}

/// Keys of the configuration, and the build arguments they become.
const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_of_the_configuration_become_arguments_under_both_names() {
        let directory = tempfile::tempdir().unwrap();
        let with = |text: &str, host: &str| {
            std::fs::write(directory.path().join("config.json"), text).unwrap();
            let place = directory.path().to_str().unwrap();
            let variables = [("DOCKER_CONFIG", place), ("DOCKER_HOST", host)];
            build_proxies(&Environment::default().with_variables(variables))
        };
        let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect()
        };
        let both = r#"{"proxies":{"default":{"httpProxy":"http://p","noProxy":"a,b","ftpProxy":""},
            "tcp://d:2376":{"allProxy":"socks5://q"}}}"#;
        let usual = pairs(&[
            ("HTTP_PROXY", "http://p"),
            ("http_proxy", "http://p"),
            ("NO_PROXY", "a,b"),
            ("no_proxy", "a,b"),
        ]);
        assert_eq!(with(both, ""), usual);
        assert_eq!(with(both, "unix:///other"), usual);
        let own = pairs(&[("ALL_PROXY", "socks5://q"), ("all_proxy", "socks5://q")]);
        assert_eq!(with(both, "tcp://d:2376"), own);
        for without in [
            "{}",
            "not json",
            r#"{"proxies":[]}"#,
            r#"{"proxies":{"default":{"httpProxy":1}}}"#,
        ] {
            assert_eq!(with(without, ""), [], "{without}");
        }
        assert_eq!(build_proxies(&Environment::default()), []);
    }
}
