//! One call of the git executable.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;
use url::Url;

use crate::git::program::GitProgram;
use crate::git::{GitCredentials, GitError};

/// Calls of git for one repository, in one directory.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) program: &'a GitProgram,
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

    /// As [`Session::run`], for what speaks to the server; again where it may only be busy.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Result<String, GitError> {
        let mut attempt = 1;
        loop {
            let error = match self.run(arguments).await {
                Ok(text) => return Ok(text),
                Err(error) => error,
            };
            let Some(wait) = error.wait(self.program.patience.as_ref(), attempt) else {
                return Err(error);
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn output(&self, arguments: &[&str]) -> Result<Output, GitError> {
        let mut command = Command::new(&self.program.program);
        command.args(arguments).current_dir(self.directory);
        command.env_clear().envs(
            self.program
                .environment
                .iter()
                .map(|(key, value)| (key, value)),
        );
        command.envs(self.settings());
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.map_err(|source| GitError::Start {
            program: self.program.program.clone(),
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
        GitCredentials::redacted(self.credentials, message)
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
        let program = GitProgram::new("/bin/git", Vec::new());
        let session = Session {
            program: &program,
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
}
