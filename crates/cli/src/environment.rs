//! What the process was started with: variables, arguments, terminals, user. Read here once; all else gets values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use yadokari_sandbox::{ContainerEvidence, ContainerHints};

/// The surroundings of one run.
///
/// Printing it shows no variable, since many of them are credentials.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    /// File name of the program as it was called: `yadokari`, `executor`, `warmer`.
    pub program: String,
    /// Arguments after the program.
    pub arguments: Vec<OsString>,
    /// The working directory.
    pub directory: PathBuf,
    /// The effective user when the process started.
    pub user: u32,
    /// The process runs inside a container.
    pub container: bool,
    /// Which standard streams are terminals.
    pub terminals: Terminals,
}

/// Which standard streams are terminals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminals {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
}

impl Environment {
    /// Reads it from this process.
    pub fn read() -> Self {
        let mut arguments = std::env::args_os();
        let program = arguments.next().unwrap_or_default();
        let mut environment = Self {
            program: file_name(&program),
            arguments: arguments.collect(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            user: rustix::process::geteuid().as_raw(),
            container: false,
            terminals: Terminals {
                stdin: std::io::stdin().is_terminal(),
                stdout: std::io::stdout().is_terminal(),
                stderr: std::io::stderr().is_terminal(),
            },
            variables: std::env::vars_os().collect(),
        };
        environment.container =
            ContainerEvidence::gather(&environment.hints(false)).allows_rootswap();
        environment
    }

    /// What the variables say about being in a container; `force` is the user's word for it.
    pub fn hints(&self, force: bool) -> ContainerHints {
        ContainerHints {
            container: self.text("container").map(str::to_owned),
            kubernetes: self.text("KUBERNETES_SERVICE_HOST").is_some(),
            force,
        }
    }

    /// The same surroundings with these variables and no others.
    pub fn with_variables<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        self.variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self
    }

    /// The same surroundings with another command line of `yadokari`.
    pub fn with_command(&self, arguments: &[String]) -> Self {
        Self {
            program: "yadokari".to_owned(),
            arguments: arguments.iter().map(Into::into).collect(),
            ..self.clone()
        }
    }

    /// Surroundings of user 0 in a container, with a command line and nothing else.
    pub fn of_command(program: &str, arguments: &[&str], directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(Into::into).collect(),
            directory: directory.to_owned(),
            container: true,
            ..Self::default()
        }
    }

    /// The name by which a flag that has several was typed; the last one on the command line counts, and the first of
    /// the list where none is there.
    pub fn typed(&self, names: &[&'static str]) -> &'static str {
        let named = |argument: &OsString| {
            let flag = argument.to_str()?.strip_prefix("--")?;
            let name = flag.split_once('=').map_or(flag, |(name, _)| name);
            names.iter().copied().find(|known| *known == name)
        };
        let typed = self.arguments.iter().rev().find_map(named);
        typed.unwrap_or_else(|| names.first().copied().unwrap_or_default())
    }

    /// A variable's value; absent when it is unset or no UTF-8.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(OsStr::new(name))?.to_str()
    }

    /// A variable's value, where an empty one counts as unset.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// A variable that holds a path, where an empty one counts as unset.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(OsStr::new(name))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// Every variable whose name and value are UTF-8, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
    }

    /// Where the build keeps its state when nothing says otherwise.
    pub fn default_state_dir(&self) -> PathBuf {
        match (self.user, self.container) {
            (0, true) => PathBuf::from("/.yadokari"),
            (0, false) => PathBuf::from("/var/cache/yadokari"),
            _ => self.cache_home().join("yadokari"),
        }
    }

    fn cache_home(&self) -> PathBuf {
        let home = || self.path("HOME").map(|home| home.join(".cache"));
        let fallback = || PathBuf::from(format!("/tmp/yadokari-{}", self.user));
        self.path("XDG_CACHE_HOME")
            .or_else(home)
            .unwrap_or_else(fallback)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.len())
            .field("program", &self.program)
            .field("directory", &self.directory)
            .field("user", &self.user)
            .field("container", &self.container)
            .field("terminals", &self.terminals)
            .finish_non_exhaustive()
    }
}

fn file_name(program: &OsStr) -> String {
    Path::new(program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: u32, container: bool, variables: &[(&str, &str)]) -> Environment {
        let environment = Environment {
            user,
            container,
            ..Environment::default()
        };
        environment.with_variables(variables.iter().copied())
    }

    #[test]
    fn the_state_directory_follows_user_and_place() {
        let cases = [
            (of(0, true, &[]), "/.yadokari"),
            (of(0, false, &[("HOME", "/root")]), "/var/cache/yadokari"),
            (
                of(1000, false, &[("HOME", "/home/u")]),
                "/home/u/.cache/yadokari",
            ),
            (
                of(1000, true, &[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")]),
                "/c/yadokari",
            ),
            (
                of(1000, false, &[("XDG_CACHE_HOME", "")]),
                "/tmp/yadokari-1000/yadokari",
            ),
        ];
        for (environment, expected) in cases {
            assert_eq!(
                environment.default_state_dir(),
                PathBuf::from(expected),
                "{environment:?}"
            );
        }
    }

    #[test]
    fn printing_shows_no_variable() {
        let environment = of(0, false, &[("CI_JOB_TOKEN", "hunter2")]);
        assert!(!format!("{environment:?}").contains("hunter2"));
        assert!(!format!("{environment:#?}").contains("CI_JOB_TOKEN"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset_where_text_is_wanted() {
        let environment = of(0, false, &[("A", "")]);
        assert_eq!(
            (environment.variable("A"), environment.text("A")),
            (Some(""), None)
        );
    }
}
