//! Flags of our own: where the build keeps its state and how it isolates and looks at its steps.

use std::path::PathBuf;

use super::go::Size;

/// Flags that neither docker nor kaniko has.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of yadokari")]
pub struct PlaceFlags {
    /// Directory for root filesystems, spooled layers and journals
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Where cache mounts are kept: off, local, registry or oci:DIR
    #[arg(
        help = "Where cache mounts are kept between builds: off, local, registry (with the layers) or oci:DIR \
                (default: registry for --cache in a container, else local)",
        long,
        value_name = "PLACE"
    )]
    pub cache_mounts: Option<String>,
    /// The most that the files of one cache mount may hold; 0 is no limit (default: 2GB where they are saved)
    #[arg(long, value_name = "SIZE")]
    pub cache_mount_limit: Option<Size>,
    /// Where to push, with fields of GitLab's variables
    #[arg(
        help = "Where to push, with fields: {auto}, {version}, {major}, {minor}, {patch}, {branch}, {mr}, {sha}, {short-sha}, {latest}",
        long,
        value_name = "TEMPLATE"
    )]
    pub destination_template: Vec<String>,
    /// Part of the layer cache that is written and read, then parts that are only read, as FEATURE,main
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub cache_scope: Vec<String>,
    /// How a RUN is kept apart
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub isolation: IsolationFlag,
    /// How changes are found
    #[arg(long, value_name = "METHOD", value_enum, default_value_t)]
    pub snapshot: SnapshotFlag,
    /// The most that a layer, or an archive of ADD, may unpack to (default: 1TB)
    #[arg(long, value_name = "SIZE")]
    pub max_layer_size: Option<Size>,
    /// The most members that a layer, or an archive of ADD, may have (default: 10000000)
    #[arg(long, value_name = "COUNT")]
    pub max_layer_entries: Option<u64>,
    /// Whose rules decide where builders differ
    #[arg(long, value_name = "BUILDER", value_enum, default_value_t)]
    pub compat: CompatFlag,
}

/// Values of `--isolation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum IsolationFlag {
    /// The best that works here
    #[default]
    #[value(alias = "default")]
    Auto,
    /// Mount, pid, ipc and uts namespaces
    Namespaces,
    /// The stage's root is renamed into / while a RUN lasts
    Rootswap,
    /// Only another root directory
    Chroot,
}

/// Values of `--snapshot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum SnapshotFlag {
    /// The cheapest that works here
    #[default]
    Auto,
    /// An overlay mount collects the changes
    Overlay,
    /// A walk compares every file's status
    Scan,
}

/// Values of `--compat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CompatFlag {
    /// BuildKit's
    #[default]
    Buildkit,
    /// kaniko's for the owner of copies and for VOLUME
    Kaniko,
}
