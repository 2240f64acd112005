//! The subcommands.

use std::path::PathBuf;

use super::BuildFlags;

/// What `yadokari` can be asked for.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<Build>),
    /// Show what a build would do, and what it has in the cache
    Plan(Box<Build>),
    /// Check a Dockerfile
    Lint(Box<Lint>),
    /// Store credentials for a registry
    Login(Login),
    /// Remove stored credentials
    Logout(Logout),
    /// Show which kinds of isolation work here, and why others do not
    Doctor(Doctor),
    /// Show the version
    Version,
}

/// `build` and `plan`.
#[derive(Debug, Clone, clap::Args)]
pub struct Build {
    /// Build context, the same as --context (default: the current directory)
    #[arg(value_name = "CONTEXT")]
    pub path: Option<String>,
    /// The flags.
    #[command(flatten)]
    pub flags: BuildFlags,
}

/// `lint`.
#[derive(Debug, Clone, clap::Args)]
pub struct Lint {
    /// Print warnings as JSON
    #[arg(long)]
    pub json: bool,
    /// The rest is that of a build.
    #[command(flatten)]
    pub build: Build,
}

/// `login`.
#[derive(Debug, Clone, clap::Args)]
pub struct Login {
    /// Host of the registry
    pub registry: String,
    /// User name
    #[arg(long, short)]
    pub username: Option<String>,
    /// Password; visible to others on this machine, so prefer --password-stdin
    #[arg(long, short)]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    pub password_stdin: bool,
}

/// `logout`.
#[derive(Debug, Clone, clap::Args)]
pub struct Logout {
    /// Host of the registry
    pub registry: String,
}

/// `doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct Doctor {
    /// Print the answers as JSON
    #[arg(long)]
    pub json: bool,
    /// Directory whose filesystem is looked at
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}
