//! The subcommands.

use std::path::PathBuf;

use super::bake::Bake;
use super::gitlab::Gitlab;
use super::go::{GoDuration, Size};
use super::images::{Cleanup, Copy, Index, Inspect, Push, Tags, Warm};
use super::{BuildFlags, RegistryFlags};

/// What `yadokari` can be asked for.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Build an image from a Dockerfile
    Build(Box<Build>),
    /// Build the images of a Compose file, or of a bake file in HCL or JSON
    Bake(Box<Bake>),
    /// Show what a build would do, and what it has in the cache
    Plan(Box<Plan>),
    /// Look into the layer cache, and tidy it up
    Cache(Box<Cache>),
    /// Check a Dockerfile
    Lint(Box<Lint>),
    /// Push an image archive or an OCI layout
    Push(Box<Push>),
    /// Copy an image between registries, layouts and archives
    Copy(Box<Copy>),
    /// Work with indexes, which put images of several platforms under one name
    #[command(subcommand)]
    Index(Box<Index>),
    /// Show what an image in a registry is
    Inspect(Box<Inspect>),
    /// List the tags of a repository
    Tags(Box<Tags>),
    /// Remove old tags of a repository, and the images that nothing needs any more
    Cleanup(Box<Cleanup>),
    /// Fetch base images ahead, into the directory that --cache-dir names
    Warm(Box<Warm>),
    /// Store credentials for a registry
    Login(Box<Login>),
    /// Remove stored credentials
    Logout(Logout),
    /// Show which kinds of isolation work here, and why others do not
    Doctor(Doctor),
    /// Names for images from GitLab's variables
    Gitlab(Gitlab),
    /// Print a script that completes this program's command line in a shell
    Completions(Completions),
    /// Print the manual page, or write the pages of all commands into a directory
    Man(Man),
    /// Show the version
    Version,
}

/// `build`.
#[derive(Debug, Clone, clap::Args)]
pub struct Build {
    /// Build context, the same as --context (default: the current directory)
    #[arg(value_name = "CONTEXT")]
    pub path: Option<String>,
    /// The flags.
    #[command(flatten)]
    pub flags: BuildFlags,
}

/// `plan`.
#[derive(Debug, Clone, clap::Args)]
pub struct Plan {
    /// Say of each step that has to be done what changed since the last build
    #[arg(long)]
    pub explain: bool,
    /// The rest is that of a build.
    #[command(flatten)]
    pub build: Build,
}

/// `cache`.
#[derive(Debug, Clone, clap::Args)]
pub struct Cache {
    /// What to do.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What `cache` can do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum CacheAction {
    /// List what a cache holds
    Ls(CachePlace),
    /// Remove what is old, or more than there should be
    Prune(Prune),
    /// Read all layers of a cache and compare them with their records
    Verify(CachePlace),
}

/// Which cache, and how it is reached.
#[derive(Debug, Clone, clap::Args)]
pub struct CachePlace {
    /// Repository of the cache, or oci:DIR (default: what this machine keeps in its state directory)
    #[arg(value_name = "REPOSITORY")]
    pub place: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Directory of this machine's state
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How the registry is reached.
    #[command(flatten)]
    pub reach: RegistryFlags,
}

/// `cache prune`.
#[derive(Debug, Clone, clap::Args)]
pub struct Prune {
    /// Remove what is older, as 36h; without any limit, what is older than 336h
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<GoDuration>,
    /// Remove the oldest until no more than this is left, as 10g
    #[arg(long, value_name = "SIZE")]
    pub keep_storage: Option<Size>,
    /// Remove everything
    #[arg(long, short, conflicts_with_all = ["older_than", "keep_storage"])]
    pub all: bool,
    /// Say what would be removed and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which cache.
    #[command(flatten)]
    pub place: CachePlace,
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
    #[arg(default_value = "docker.io")]
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
    /// Store the credentials without trying them; `executor login` always does
    #[arg(long)]
    pub store_only: bool,
    /// How the registry is reached when they are tried.
    #[command(flatten)]
    pub reach: RegistryFlags,
}

/// `logout`.
#[derive(Debug, Clone, clap::Args)]
pub struct Logout {
    /// Host of the registry
    #[arg(default_value = "docker.io")]
    pub registry: String,
}

/// `completions`.
#[derive(Debug, Clone, clap::Args)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Clone, clap::Args)]
pub struct Man {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Print every command and flag as one page in Markdown
    #[arg(long, conflicts_with = "directory")]
    pub markdown: bool,
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
    /// Registries to ask, or repositories to ask for the right to push; without any, those that variables and
    /// docker's configuration name
    #[arg(value_name = "REGISTRY")]
    pub registries: Vec<String>,
}
