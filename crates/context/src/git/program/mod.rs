//! Repositories through the git executable.

mod fetch;
mod session;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use fetch::{ask, fill};
pub(crate) use session::Session;

use crate::git::{CheckoutOptions, GitReference};
use crate::web::{Once, Patience};

/// A git executable and the environment it gets.
///
/// Git sees nothing else of the caller's environment, and no configuration of the
/// machine or the user, so that hooks, filters and rewrites set up there do not act.
#[derive(Debug, Clone)]
pub struct GitProgram {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    patience: Arc<dyn Patience>,
}

impl GitProgram {
    /// Uses this executable.
    ///
    /// `environment` is all git may see: `PATH`, and for instance `HOME` (for `.netrc`), proxy
    /// variables, `SSL_CERT_FILE`, `SSH_AUTH_SOCK` and `GIT_SSH_COMMAND`.
    pub fn new(program: impl Into<PathBuf>, environment: Vec<(OsString, OsString)>) -> Self {
        let program = program.into();
        Self {
            program,
            environment,
            patience: Arc::new(Once),
        }
    }

    pub(crate) fn with_patience(self, patience: Arc<dyn Patience>) -> Self {
        Self { patience, ..self }
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

    pub(crate) fn session<'a>(
        &'a self,
        reference: &'a GitReference,
        options: &'a CheckoutOptions,
        directory: &'a Path,
    ) -> Session<'a> {
        Session {
            program: self,
            remote: &reference.remote,
            directory,
            credentials: reference
                .credentials
                .as_ref()
                .or(options.credentials.as_ref()),
            insecure_tls: options.insecure_tls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_found_in_the_search_path_only() {
        let directory = tempfile::tempdir().unwrap();
        assert!(GitProgram::find(directory.path().as_os_str(), Vec::new()).is_none());
        std::fs::write(directory.path().join("git"), "").unwrap();
        assert!(GitProgram::find(directory.path().as_os_str(), Vec::new()).is_none());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path().join("git"), mode).unwrap();
        assert!(GitProgram::find(directory.path().as_os_str(), Vec::new()).is_some());
    }
}
