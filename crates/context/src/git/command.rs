//! The git executable, and one call of it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;
use url::Url;

use crate::git::GitCredentials;

/// A git executable and the environment it gets.
///
/// Git sees nothing else of the caller's environment, and no configuration of the
/// machine or the user, so that hooks, filters and rewrites set up there do not act.
#[derive(Debug, Clone)]
pub struct GitTool {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git.
    #[error("no `git` executable was found, and reading {remote} needs one")]
    NoGit {
        /// The repository.
        remote: String,
    },
    /// Git could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// Git failed.
    #[error("git {command} failed for {remote}: {message}")]
    Failed {
        /// Git's subcommand.
        command: String,
        /// The repository.
        remote: String,
        /// What git said, without secrets.
        message: String,
    },
    /// No branch, tag or ref of that name.
    #[error("repository does not contain ref {reference}")]
    RefMissing {
        /// The name.
        reference: String,
    },
    /// The ref is another commit than the one expected.
    #[error("expected checksum to match {expected}, got {found}")]
    Checksum {
        /// The expected commit or its beginning.
        expected: String,
        /// The ref's commit.
        found: String,
    },
    /// The wanted directory is not in the repository.
    #[error("invalid subdir {subdirectory}: {reason}")]
    Subdirectory {
        /// The directory.
        subdirectory: String,
        /// Why not.
        reason: &'static str,
    },
    /// The address and the instruction disagree about `.git`.
    #[error("inconsistent keep-git-dir configuration")]
    KeepGitDir,
    /// The checkout could not be written or put in order.
    #[error("cannot prepare checkout {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
}

impl GitTool {
    /// Uses this executable.
    ///
    /// `environment` is all git may see: `PATH`, and for instance `HOME` (for `.netrc`), proxy
    /// variables, `SSL_CERT_FILE`, `SSH_AUTH_SOCK` and `GIT_SSH_COMMAND`.
    pub fn new(program: impl Into<PathBuf>, environment: Vec<(OsString, OsString)>) -> Self {
        let program = program.into();
        Self {
            program,
            environment,
        }
    }

    /// Looks for git in the directories of a `PATH` value.
    #[must_use]
    pub fn find(search_path: &OsStr, environment: Vec<(OsString, OsString)>) -> Option<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let runs = |path: &PathBuf| {
            std::fs::metadata(path)
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let mut candidates = std::env::split_paths(search_path).map(|path| path.join("git"));
        candidates
            .find(runs)
            .map(|program| Self::new(program, environment))
    }
}

/// Calls of git for one repository, in one directory.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) tool: &'a GitTool,
    pub(crate) remote: &'a str,
    pub(crate) directory: &'a Path,
    pub(crate) credentials: Option<&'a GitCredentials>,
    pub(crate) insecure_tls: bool,
}

impl Session<'_> {
    /// Runs a subcommand and gives what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Result<String, GitError> {
        let output = self.output(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        Err(GitError::Failed {
            command: arguments.first().copied().unwrap_or_default().to_owned(),
            remote: self.remote.to_owned(),
            message: self.redacted(&String::from_utf8_lossy(&output.stderr)),
        })
    }

    async fn output(&self, arguments: &[&str]) -> Result<Output, GitError> {
        let mut command = Command::new(&self.tool.program);
        command.args(arguments).current_dir(self.directory);
        command.env_clear().envs(
            self.tool
                .environment
                .iter()
                .map(|(key, value)| (key, value)),
        );
        command.envs(self.settings());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.map_err(|source| GitError::Start {
            program: self.tool.program.clone(),
            source,
        })
    }

    /// Settings go through the environment: command lines can be read by everybody.
    fn settings(&self) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", self.protocols()),
            ("LC_ALL", "C"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let configuration = self.configuration();
        variables.push((
            "GIT_CONFIG_COUNT".to_owned(),
            configuration.len().to_string(),
        ));
        for (number, (key, value)) in configuration.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
            variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
        variables
    }

    fn configuration(&self) -> Vec<(String, String)> {
        let mut settings: Vec<(String, String)> = [
            ("safe.directory", "*"),
            ("core.hooksPath", "/dev/null"),
            ("core.autocrlf", "false"),
            ("core.fsmonitor", "false"),
            ("gc.auto", "0"),
            ("init.defaultBranch", "main"),
            ("advice.detachedHead", "false"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if self.insecure_tls {
            settings.push(("http.sslVerify".to_owned(), "false".to_owned()));
        }
        if let (Some(credentials), Some(origin)) = (self.credentials, origin(self.remote)) {
            let value = format!("Authorization: {}", credentials.authorization());
            settings.push((format!("http.{origin}/.extraHeader"), value));
        }
        settings
    }

    /// Local repositories are opened only if the address itself names one, never because a submodule does.
    fn protocols(&self) -> &'static str {
        match self.remote.starts_with("file://") {
            true => "file:git:http:https:ssh",
            false => "git:http:https:ssh",
        }
    }

    fn redacted(&self, message: &str) -> String {
        let mut message = message.trim().to_owned();
        let secrets = self
            .credentials
            .map(GitCredentials::secrets)
            .unwrap_or_default();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            message = message.replace(secret.as_str(), "***");
        }
        message
    }
}

/// The part of an http address that credentials are for.
fn origin(remote: &str) -> Option<String> {
    let url = Url::parse(remote).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_one_origin_and_stay_out_of_messages() {
        let credentials = GitCredentials::from_parts(Some("hunter2"), None, None);
        let tool = GitTool::new("/bin/git", Vec::new());
        let session = Session {
            tool: &tool,
            remote: "https://example.com:8443/a/b.git",
            directory: Path::new("/"),
            credentials: credentials.as_ref(),
            insecure_tls: false,
        };
        let settings = session.configuration();
        let (key, value) = settings.last().unwrap();
        assert_eq!(key, "http.https://example.com:8443/.extraHeader");
        assert!(value.starts_with("Authorization: Basic "));
        let encoded = value.rsplit(' ').next().unwrap();
        let message = session.redacted(&format!("fatal: hunter2 {encoded}\n"));
        assert_eq!(message, "fatal: *** ***");
    }

    #[test]
    fn git_is_found_in_the_search_path_only() {
        let directory = tempfile::tempdir().unwrap();
        assert!(GitTool::find(directory.path().as_os_str(), Vec::new()).is_none());
        std::fs::write(directory.path().join("git"), "").unwrap();
        assert!(GitTool::find(directory.path().as_os_str(), Vec::new()).is_none());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path().join("git"), mode).unwrap();
        assert!(GitTool::find(directory.path().as_os_str(), Vec::new()).is_some());
    }
}
