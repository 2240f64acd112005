//! Keeps new entries of guarded directories usable for a confined command.
//!
//! A Landlock domain knows directories and files, not names: what a command makes
//! next to something hidden has no rule of its own and could not be used. So empty
//! directories and files, which have their rule before the domain is entered, are
//! held ready. The command's attempts to make something are reported here by
//! seccomp, and where the new entry would lie directly in a guarded directory, one
//! of those held ready is renamed to its name. Landlock alone enforces; a wrong
//! answer here can only make an entry unusable.

mod attempt;
mod notify;

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use self::attempt::{Attempt, status};
use self::notify::{Answer, Notice, is_valid, receive, respond};
pub(crate) use self::notify::{give, install_filter, take};
use crate::error::{At as _, Fault};

/// The entries held ready, and the directories they are for.
#[derive(Debug)]
pub(crate) struct Gate {
    place: PathBuf,
    /// Directories that hold something hidden at some depth.
    guarded: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Gate {
    /// Makes the entries that are held ready, below `area`.
    pub(crate) fn prepare(area: &Path, guarded: Vec<PathBuf>) -> Result<Self, Fault> {
        let place = area.join("ready");
        fs::create_dir_all(&place).at("make", &place)?;
        let mut gate = Self {
            place,
            guarded,
            directories: Vec::new(),
            files: Vec::new(),
        };
        for number in 0..READY {
            let (directory, file) = (
                gate.place.join(format!("d{number}")),
                gate.place.join(format!("f{number}")),
            );
            fs::create_dir(&directory).at("make", &directory)?;
            fs::write(&file, "").at("make", &file)?;
            gate.directories.push(directory);
            gate.files.push(file);
        }
        Ok(gate)
    }

    /// Everything held ready, for rules.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter().chain(&self.files)
    }

    /// Answers one report, if there is one.
    pub(crate) fn serve(&mut self, listener: &OwnedFd) {
        let Some(notice) = receive(listener) else {
            return;
        };
        let own = rustix::process::getegid().as_raw();
        look_as(status(notice.pid, "Gid:", 2).unwrap_or(own));
        let answer = self.decide(listener, &notice);
        look_as(own);
        respond(listener, notice.id, answer);
    }

    fn decide(&mut self, listener: &OwnedFd, notice: &Notice) -> Answer {
        let Some(attempt) = Attempt::read(notice) else {
            return Answer::Continue;
        };
        let Some(path) = attempt.entry(&self.guarded) else {
            return Answer::Continue;
        };
        if fs::symlink_metadata(&path).is_ok() {
            return Answer::Continue;
        }
        let ready = if attempt.directory {
            self.directories.pop()
        } else {
            self.files.pop()
        };
        let Some(ready) = ready else {
            return Answer::Continue;
        };
        if !is_valid(listener, notice.id) || attempt.furnish(&ready, &path).is_err() {
            return Answer::Continue;
        }
        match attempt {
            Attempt {
                directory: true, ..
            } => Answer::Done,
            // The kernel would find the file there, and must not.
            Attempt { flags, .. } if flags & libc::O_EXCL != 0 => Answer::Descriptor(path, flags),
            Attempt { .. } => Answer::Continue,
        }
    }
}

/// Splits what lies in `/` into what the command may use and the directories that hold something hidden.
pub(crate) fn divide(root: &Path, hidden: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut open, mut guarded) = (Vec::new(), vec![root.to_owned()]);
    let mut next = 0;
    while let Some(directory) = guarded.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = directory.join(OsStr::from_bytes(entry.file_name().as_bytes()));
            if hidden.contains(&path) {
                continue;
            }
            if hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                guarded.push(path);
            } else {
                open.push(path);
            }
        }
    }
    open.sort();
    (open, guarded)
}

/// Looks at files and other processes as a member of this group. A process of the same user but of another group may
/// not be looked at without `CAP_SYS_PTRACE`, and a command's group is what USER says.
#[expect(unsafe_code, reason = "there is no safe form")]
fn look_as(group: u32) {
    // SAFETY: changes an id of this thread and touches no memory.
    unsafe { libc::setfsgid(group) };
}

/// Directories and files each. Few commands make more entries next to the root's own.
const READY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_and_what_leads_there_is_not_open() {
        let root = tempfile::tempdir().unwrap();
        for path in ["bin", "state/x", "run/secrets/token", "run/lock", "builds"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let hidden = ["state", "run/secrets/token", "nosuch/x"].map(|path| root.path().join(path));
        let (open, guarded) = divide(root.path(), &hidden);
        assert_eq!(
            open,
            ["bin", "builds", "run/lock"].map(|path| root.path().join(path))
        );
        assert_eq!(
            guarded,
            ["", "run", "run/secrets"].map(|path| {
                if path.is_empty() {
                    root.path().to_owned()
                } else {
                    root.path().join(path)
                }
            })
        );
    }
}
