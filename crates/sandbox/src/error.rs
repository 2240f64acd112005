//! Why a command could not be run, or not to its end.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::spec::os_path;

/// A system call that failed: what was tried, where, and the kernel's answer.
///
/// It crosses a process boundary, so it holds the error number and not an [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{action} `{}`: {}", path.display(), io::Error::from_raw_os_error(*errno))]
pub struct Fault {
    /// What was tried, as a verb phrase: "mount proc on".
    pub action: String,
    /// The path it was tried on.
    #[serde(with = "os_path")]
    pub path: PathBuf,
    /// The kernel's error number.
    pub errno: i32,
}

impl Fault {
    /// Whether the kernel refused for lack of privileges.
    pub fn is_refusal(&self) -> bool {
        matches!(self.errno, libc::EPERM | libc::EACCES | libc::ENOSYS)
    }
}

/// Why [`crate::Runner::run`] gives no exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunError {
    /// The executable could not be started. Counts as exit code 1.
    #[error("exec: {program:?}: {reason}")]
    Exec {
        /// The first word of the command.
        program: String,
        /// Why, in the words users know from container runtimes.
        reason: String,
    },
    /// The environment of the command could not be prepared.
    #[error("cannot prepare the command's environment: {0}")]
    Setup(#[from] Fault),
    /// The working directory does not exist or is no directory.
    #[error("working directory {0}")]
    WorkingDirectory(Fault),
    /// The user cannot be taken on.
    #[error(
        "cannot run as {uid}:{gid}: {fault}; the id map of this user namespace may not hold them"
    )]
    User {
        /// Wanted user id.
        uid: u32,
        /// Wanted group id.
        gid: u32,
        /// The kernel's answer.
        fault: Fault,
    },
    /// The chosen isolation cannot do what the spec asks for.
    #[error("{what} needs {needs}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What the environment would have to offer.
        needs: String,
    },
    /// No isolation works here, so nothing can be run.
    #[error("no kind of isolation works here ({})", obstacles.join("; "))]
    NoIsolation {
        /// Each kind with the reason why it does not.
        obstacles: Vec<String>,
    },
    /// The spec is not usable.
    #[error("{what}: {reason}")]
    Invalid {
        /// The part of the spec.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Rootswap was refused because `/` may be a machine's own root.
    #[error("rootswap moves the entries of `/` and is refused outside a container: {evidence}")]
    NotAContainer {
        /// What was looked at.
        evidence: String,
    },
    /// The state directory is not on the filesystem of `/`, so nothing can be renamed between them.
    #[error(
        "the state directory `{}` is not on the filesystem of `{}`; choose one that is with --state-dir",
        state_dir.display(), root.display()
    )]
    StateElsewhere {
        /// The state directory.
        #[serde(with = "os_path")]
        state_dir: PathBuf,
        /// The root that is swapped.
        #[serde(with = "os_path")]
        root: PathBuf,
    },
    /// Another command is swapped in, or a killed one was not recovered.
    #[error("the swap journal `{}` is in use; a killed run is undone at the next start", journal.display())]
    SwapInProgress {
        /// The journal found.
        #[serde(with = "os_path")]
        journal: PathBuf,
    },
    /// An entry of the root cannot take its place.
    #[error("`/{}` of the image cannot be swapped in: {reason}", path.display())]
    Occupied {
        /// The entry, relative to `/`.
        #[serde(with = "os_path")]
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// The container's own entries could not all be put back. The journal stays for the next start.
    #[error("the container's own files could not be put back: {0}")]
    Restore(Fault),
    /// Something that the command left could not be given to its root, which is incomplete. The container's own
    /// entries are back.
    #[error("what the command left could not be kept: {0}")]
    Capture(Fault),
    /// The run was stopped by its [`crate::Cancel`].
    #[error("interrupted")]
    Cancelled,
    /// The helper process could not be started or talked to.
    #[error("cannot use the helper process: {0}")]
    Helper(Fault),
    /// The helper process ended without an answer.
    #[error("the helper process ended without an answer: {status}")]
    HelperDied {
        /// Its status, as text.
        status: String,
    },
}

impl RunError {
    /// The exit code that the failing command counts as, if the failure is the command's own.
    pub fn exit_code(&self) -> Option<i32> {
        matches!(self, Self::Exec { .. }).then_some(1)
    }
}

/// Adds what was tried and where to a failed system call.
pub(crate) trait At<T> {
    fn at(self, action: &str, path: impl AsRef<Path>) -> Result<T, Fault>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &str, path: impl AsRef<Path>) -> Result<T, Fault> {
        self.map_err(|error| fault(action, path, error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

impl<T> At<T> for Result<T, rustix::io::Errno> {
    fn at(self, action: &str, path: impl AsRef<Path>) -> Result<T, Fault> {
        self.map_err(|errno| fault(action, path, errno.raw_os_error()))
    }
}

impl<T> At<T> for Result<T, nix::errno::Errno> {
    fn at(self, action: &str, path: impl AsRef<Path>) -> Result<T, Fault> {
        self.map_err(|errno| fault(action, path, errno as i32))
    }
}

pub(crate) fn fault(action: &str, path: impl AsRef<Path>, errno: i32) -> Fault {
    Fault {
        action: action.to_owned(),
        path: path.as_ref().to_owned(),
        errno,
    }
}
