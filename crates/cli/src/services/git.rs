//! The git program, or the library where there is none.

use std::ffi::OsString;

use yadokari_context::{GitLibrary, GitProgram, GitTool};

use crate::environment::Environment;

/// All that git gets to see of the environment.
const VARIABLES: [&str; 16] = [
    "ALL_PROXY",
    "GIT_SSH_COMMAND",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "NO_PROXY",
    "PATH",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GIT_SSL_CAINFO",
];

/// Where programs are when PATH is not set, as in an image made from nothing.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Looks for git in `PATH`; without it, `library` reads repositories.
pub(super) fn tool(environment: &Environment, library: GitLibrary) -> GitTool {
    let variables = VARIABLES
        .iter()
        .filter_map(|name| Some((OsString::from(name), environment.path(name)?.into())));
    let path = environment
        .path("PATH")
        .map_or_else(|| OsString::from(USUAL_PATH), Into::into);
    GitProgram::find(&path, variables.collect()).map_or(GitTool::Library(library), GitTool::Program)
}
