//! Ordinary users of the machine, made for one test and removed after it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

/// A user account with a home directory; it is removed when dropped.
#[derive(Debug)]
pub struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// Keeps accounts of one process apart.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl User {
    /// Makes a user with subordinate ids, as `useradd` gives them to everyone.
    ///
    /// # Errors
    ///
    /// If the test is not root or `useradd` fails.
    pub fn with_subordinate_ids() -> Result<Self> {
        let user = Self::add()?;
        if !user.has_subordinate_ids()? {
            let range = format!(
                "{}-{}",
                10_000_000 + user.uid * 65_536,
                10_000_000 + user.uid * 65_536 + 65_535
            );
            user.modify(&["--add-subuids", &range, "--add-subgids", &range])?;
        }
        Ok(user)
    }

    /// Makes a user without subordinate ids.
    ///
    /// # Errors
    ///
    /// If the test is not root or `useradd` fails.
    pub fn without_subordinate_ids() -> Result<Self> {
        let user = Self::add()?;
        if user.has_subordinate_ids()? {
            user.modify(&[
                "--del-subuids",
                "0-4294967294",
                "--del-subgids",
                "0-4294967294",
            ])?;
        }
        Ok(user)
    }

    /// The name of the account.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The user id.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// A command that runs as this user, from its home directory, with an environment of a fresh login.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", self.uid))
            .arg(format!("--regid={}", self.gid));
        command
            .args(["--clear-groups", "--inh-caps=-all", "--"])
            .arg(program);
        command.env_clear().current_dir(&self.home);
        command
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env("LOGNAME", &self.name);
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        command
    }

    /// Gives a path and everything below it to this user.
    ///
    /// # Errors
    ///
    /// If `chown` fails.
    pub fn own(&self, path: &Path) -> Result<()> {
        process::run(
            Command::new("chown")
                .arg("-R")
                .arg(format!("{}:{}", self.uid, self.gid))
                .arg(path),
        )
        .map(drop)
    }

    fn add() -> Result<Self> {
        let name = format!(
            "ykt{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        accounts(Command::new("useradd").args(["--create-home", "--shell", "/bin/sh", &name]))?;
        let fields = process::run(Command::new("getent").args(["passwd", &name]))?;
        let fields: Vec<&str> = fields.trim().split(':').collect();
        let id = |index: usize| {
            fields
                .get(index)
                .and_then(|text| text.parse().ok())
                .context("a broken account")
        };
        let home = PathBuf::from(fields.get(5).context("an account without a home")?);
        Ok(Self {
            uid: id(2)?,
            gid: id(3)?,
            name,
            home,
        })
    }

    fn modify(&self, words: &[&str]) -> Result<()> {
        accounts(Command::new("usermod").args(words).arg(&self.name))
    }

    fn has_subordinate_ids(&self) -> Result<bool> {
        let text = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
        let own = format!("{}:", self.name);
        Ok(text.lines().any(|line| line.starts_with(&own)))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = accounts(Command::new("userdel").args(["--remove", "--force", &self.name]));
    }
}

/// Runs a program that edits the account files, again while another holds their lock.
fn accounts(command: &mut Command) -> Result<()> {
    const LOCKED: i32 = 1;
    let mut said = String::new();
    process::wait_until(
        "the account files are free",
        Duration::from_secs(20),
        || {
            let finished = process::finish(command)?;
            said = finished.output;
            match finished.status {
                0 => Ok(true),
                LOCKED if said.contains("lock") => Ok(false),
                status => anyhow::bail!(
                    "{} ended with {status}: {said}",
                    command.get_program().to_string_lossy()
                ),
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{needs, skip_unless};

    #[test]
    fn users_differ_in_their_subordinate_ids_and_are_gone_afterwards() {
        skip_unless!(
            needs::root(),
            needs::program("useradd"),
            needs::program("setpriv")
        );
        let (with, without) = (
            User::with_subordinate_ids().unwrap(),
            User::without_subordinate_ids().unwrap(),
        );
        assert!(with.has_subordinate_ids().unwrap());
        assert!(!without.has_subordinate_ids().unwrap());
        let said = process::run(
            with.command(Path::new("/bin/sh"))
                .args(["-c", "id -u; echo $HOME; umask"]),
        )
        .unwrap();
        assert_eq!(
            said,
            format!("{}\n{}\n0022\n", with.uid(), with.home().display())
        );
        let homes = [with.home().to_path_buf(), without.home().to_path_buf()];
        drop((with, without));
        assert!(homes.iter().all(|home| !home.exists()));
    }
}
