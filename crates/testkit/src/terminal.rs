//! A terminal with a program in it: what a person would see, and the keys that person presses.
//!
//! It is a `tmux` server of its own, so lines wrap, scroll and reflow as they do for people.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process;

/// A terminal of one size; the server behind it ends when dropped.
#[derive(Debug)]
pub struct Terminal {
    directory: TempDir,
}

/// No wait for something to show takes longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

impl Terminal {
    /// Opens a terminal and starts a shell command in it, with these variables and without those that a CI job or a gate has
    /// set for its log.
    ///
    /// # Errors
    ///
    /// If `tmux` cannot be started.
    pub fn open(
        (columns, rows): (u16, u16),
        variables: &[(&str, &str)],
        command: &str,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("yadokari-terminal-")
            .tempdir()?;
        let terminal = Self { directory };
        let mut start = terminal.tmux();
        start.args(["-f", "/dev/null", "-u"]);
        for name in ["CI", "GITLAB_CI", "NO_COLOR"] {
            start.env_remove(name);
        }
        start.env("LC_ALL", "C.UTF-8");
        for (name, value) in variables {
            start.env(name, value);
        }
        start.args(["new-session", "-d", "-x", &columns.to_string()]);
        // The shell goes on, also after an interrupt, so that the last picture stays to be looked at.
        let command = format!("trap : INT; {command}; exec sleep 1000");
        start.args(["-y", &rows.to_string(), "sh", "-c", &command]);
        process::run(&mut start)?;
        Ok(terminal)
    }

    /// Presses keys, as `tmux` names them: `C-c`, `Enter`.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn press(&self, keys: &str) -> Result<()> {
        process::run(self.tmux().args(["send-keys", keys])).map(drop)
    }

    /// Gives it another size.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut resize = self.tmux();
        process::run(resize.args(["resize-window", "-x", &columns, "-y", &rows])).map(drop)
    }

    /// The rows that are shown, and those that scrolled away above them, without the spaces at their ends.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn shown(&self) -> Result<Vec<String>> {
        let text = self.capture(&[])?;
        let rows = text.lines().map(|row| row.trim_end().to_owned());
        Ok(rows.collect())
    }

    /// The same with the escape sequences of colours and other attributes.
    ///
    /// # Errors
    ///
    /// If the terminal is gone.
    pub fn painted(&self) -> Result<String> {
        self.capture(&["-e"])
    }

    /// Waits until the rows are as `wanted`, and gives them.
    ///
    /// # Errors
    ///
    /// If they never are; the message holds the last ones.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
        let mut last = Vec::new();
        let waited = process::wait_until(what, PATIENCE, || {
            last = self.shown()?;
            Ok(wanted(&last))
        });
        match waited {
            Ok(()) => Ok(last),
            Err(error) => Err(error.context(last.join("\n"))),
        }
    }

    fn capture(&self, more: &[&str]) -> Result<String> {
        let mut capture = self.tmux();
        process::run(
            capture
                .args(["capture-pane", "-p", "-S", "-1000"])
                .args(more),
        )
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.socket());
        tmux
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A server that is gone already has nothing left to end.
        let _ = process::output(self.tmux().arg("kill-server"));
    }
}
