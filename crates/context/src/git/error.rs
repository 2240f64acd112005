//! What can go wrong with a repository.

use std::io;
use std::path::{Path, PathBuf};

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

    /// Attaches the path to an I/O error.
    pub(crate) fn at(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Self::Io { path, source }
    }
}
