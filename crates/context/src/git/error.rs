//! What can go wrong with a repository.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::web::{Patience, Setback};

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// Only the git program could read this, and there is none.
    #[error("no `git` executable was found, and reading {remote} needs one: {reason}")]
    NoGit {
        /// The repository.
        remote: String,
        /// What the library cannot do.
        reason: &'static str,
    },
    /// A submodule cannot be read.
    #[error("cannot read submodule {path}")]
    Submodule {
        /// Its directory in the repository.
        path: String,
        /// Why not.
        source: Box<Self>,
    },
    /// Git could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// Git failed, the program or the library.
    #[error("git {command} failed for {remote}: {message}")]
    Failed {
        /// Git's subcommand, or the one that does what the library did.
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

impl GitError {
    /// Whether this would work with the git program.
    #[must_use]
    pub fn needs_program(&self) -> bool {
        match self {
            Self::NoGit { .. } => true,
            Self::Submodule { source, .. } => source.needs_program(),
            _ => false,
        }
    }

    /// How long to wait before the same is tried again, from what git said; nothing where that is of no use.
    pub(crate) fn wait(&self, patience: &dyn Patience, attempt: u32) -> Option<Duration> {
        let Self::Failed { message, .. } = self else {
            return None;
        };
        let wait = patience.wait(attempt, setback(message)?)?;
        tracing::warn!(error = %self, attempt, ?wait, "trying again");
        Some(wait)
    }

    /// Attaches the path to an I/O error.
    pub(crate) fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Io { path, source }
    }
}

/// What git's words mean, of the program and of the library; both say it in English.
fn setback(message: &str) -> Option<Setback<'static>> {
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&FINAL) {
        None
    } else if says(&BUSY) {
        Some(Setback::Busy)
    } else {
        says(&UNREACHABLE).then_some(Setback::Unreachable)
    }
}

/// Words of what another try does not help.
const FINAL: [&str; 3] = ["certificate", "dns error", "authentication failed"];

const BUSY: [&str; 13] = [
    "returned error: 429",
    "returned error: 50",
    "returned error: 52",
    "server answers 429",
    "server answers 50",
    "server answers 52",
    "connection reset",
    "early eof",
    "empty reply from server",
    "error decoding response body",
    "rpc failed; curl",
    "unexpected disconnect",
    "connection closed before message completed",
];

const UNREACHABLE: [&str; 6] = [
    "connection refused",
    "couldn't connect to server",
    "failed to connect to",
    "temporary failure in name resolution",
    "timed out",
    "error sending request",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let busy = [
            "fatal: unable to access 'http://h/x.git/': The requested URL returned error: 503",
            "handshake failed: the server answers 503 Service Unavailable",
            "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF",
        ];
        let unreachable = [
            "fatal: unable to access 'http://h/': Failed to connect to h port 80 after 0 ms: Couldn't connect to server",
            "ssh: connect to host h port 22: Connection refused",
        ];
        let last = [
            "fatal: unable to access 'https://h/': The requested URL returned error: 403",
            "error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413",
            "fatal: unable to access 'https://h/': SSL certificate problem: Connection reset",
            "error sending request: client error (Connect): dns error: no such host",
            "fatal: repository 'http://h/' not found",
        ];
        for message in busy {
            assert!(matches!(setback(message), Some(Setback::Busy)), "{message}");
        }
        for message in unreachable {
            let found = setback(message);
            assert!(matches!(found, Some(Setback::Unreachable)), "{message}");
        }
        for message in last {
            assert!(setback(message).is_none(), "{message}");
        }
    }
}
