//! What reads repositories: git itself, or the library that is part of this program.

use std::sync::Arc;

use crate::git::{GitLibrary, GitProgram};
use crate::web::Patience;

/// Reads repositories.
///
/// Both kinds give the same files for the same address. The program is to be preferred where
/// there is one: it knows every protocol, and what `.netrc` and ssh agents hold.
#[derive(Debug, Clone)]
pub enum GitTool {
    /// The git executable.
    Program(GitProgram),
    /// The library, which speaks `http://` and `https://`.
    Library(GitLibrary),
}

impl GitTool {
    /// The same, but what fails on the way to a server is tried again as `patience` has it.
    #[must_use]
    pub fn with_patience(self, patience: Arc<dyn Patience>) -> Self {
        match self {
            Self::Program(program) => Self::Program(program.with_patience(patience)),
            Self::Library(library) => Self::Library(library.with_patience(patience)),
        }
    }
}

impl From<GitProgram> for GitTool {
    fn from(program: GitProgram) -> Self {
        Self::Program(program)
    }
}

impl From<GitLibrary> for GitTool {
    fn from(library: GitLibrary) -> Self {
        Self::Library(library)
    }
}
