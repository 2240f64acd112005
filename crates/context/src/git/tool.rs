//! What reads repositories: git itself, or the library that is part of this program.

use crate::git::{GitLibrary, GitProgram};

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
