//! Commands that move images without building them.

use std::path::PathBuf;

use super::RegistryFlags;
use super::go::{GoDuration, Switch};

/// Flags that say what is told.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogFlags {
    /// How messages look: text, color or json
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Put the time before every line
    #[arg(long, value_name = "BOOL")]
    pub log_timestamp: Option<Switch>,
    /// How much is told: trace, debug, info, warn, error, fatal or panic (default: info)
    #[arg(long, short, value_name = "LEVEL")]
    pub verbosity: Option<String>,
}

/// Flags of every command that moves images.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CommonFlags {
    /// How registries are reached.
    #[command(flatten)]
    pub registry: RegistryFlags,
    /// What is told.
    #[command(flatten)]
    pub log: LogFlags,
}

/// `push`.
#[derive(Debug, Clone, clap::Args)]
pub struct Push {
    /// Image archive (`docker save`'s, or an OCI layout in a tar), or OCI layout directory; holds one image
    pub path: PathBuf,
    /// Where to push the image
    #[arg(long, short, value_name = "REFERENCE", required = true)]
    pub destination: Vec<String>,
    /// File that gets the digest
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<PathBuf>,
    /// File that gets name@digest, a line per destination
    #[arg(long, value_name = "FILE")]
    pub image_name_with_digest_file: Option<PathBuf>,
    /// File that gets name:tag@digest, a line per destination
    #[arg(long, value_name = "FILE")]
    pub image_name_tag_with_digest_file: Option<PathBuf>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `copy`.
#[derive(Debug, Clone, clap::Args)]
pub struct Copy {
    /// An image and where it is
    #[arg(
        help = "REFERENCE, oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE",
        value_name = "SOURCE"
    )]
    pub from: String,
    /// The same; several references may be given
    #[arg(value_name = "DESTINATION", required = true)]
    pub to: Vec<String>,
    /// Copy one platform's image alone (default: all platforms)
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Copy what refers to the image too: signatures, attestations, bills of materials (default: true)
    #[arg(long, value_name = "BOOL")]
    pub referrers: Option<Switch>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `index`.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Index {
    /// Put images of several platforms under one name
    Create(IndexCreate),
}

/// `index create`.
#[derive(Debug, Clone, clap::Args)]
pub struct IndexCreate {
    /// Images or indexes; what lies in other repositories is copied
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Name of the index
    #[arg(long, short, value_name = "REFERENCE")]
    pub tag: Vec<String>,
    /// File with a source's descriptor as JSON
    #[arg(long, short, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Annotation; `index:`, `manifest-descriptor:` or `manifest-descriptor[PLATFORM]:` in front of the key choose the place
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<super::go::KeyValue>,
    /// Keep what the index of the first name lists already
    #[arg(long, value_name = "BOOL")]
    pub append: Option<Switch>,
    /// Print the index and write nothing
    #[arg(long, value_name = "BOOL")]
    pub dry_run: Option<Switch>,
    /// Make an index of a single image too (default: true)
    #[arg(long, value_name = "BOOL")]
    pub prefer_index: Option<Switch>,
    /// File that gets the result's facts as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `inspect`.
#[derive(Debug, Clone, clap::Args)]
pub struct Inspect {
    /// Image to look at
    pub reference: String,
    /// Print the manifest or index as the registry has it
    #[arg(long, value_name = "BOOL")]
    pub raw: Option<Switch>,
    /// Print the configuration of the image of this platform
    #[arg(long, value_name = "BOOL")]
    pub config: Option<Switch>,
    /// Platform to look at (default: this machine's, for --config)
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `tags`.
#[derive(Debug, Clone, clap::Args)]
pub struct Tags {
    /// Repository to look at
    pub repository: String,
    /// List tags too that belong to digests, as those of signatures
    #[arg(long, value_name = "BOOL")]
    pub referrers: Option<Switch>,
    /// Print the answer as JSON
    #[arg(long, value_name = "BOOL")]
    pub json: Option<Switch>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `cleanup`.
#[derive(Debug, Clone, clap::Args)]
pub struct Cleanup {
    /// Repository to tidy up
    pub repository: String,
    /// Keep so many of the newest tags that could go
    #[arg(long, value_name = "NUMBER")]
    pub keep: Option<usize>,
    /// Remove only what is older, as 720h
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<GoDuration>,
    /// Remove only tags of this form, as `main-*` (default: all but `latest`)
    #[arg(long = "match", value_name = "PATTERN")]
    pub matching: Vec<String>,
    /// Keep tags of this form, as `v[0-9]*`
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Say what would be removed and remove nothing (default: true)
    #[arg(long, value_name = "BOOL")]
    pub dry_run: Option<Switch>,
    /// Print the answer as JSON
    #[arg(long, value_name = "BOOL")]
    pub json: Option<Switch>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}

/// `warm`, and `warmer` with kaniko's command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Warm {
    /// Image to fetch
    #[arg(long, short, value_name = "REFERENCE")]
    pub image: Vec<String>,
    /// Dockerfile whose images are fetched
    #[arg(long, short, value_name = "FILE")]
    pub dockerfile: Option<PathBuf>,
    /// Value of an ARG that names an image; a bare name takes it from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Directory to fill, an OCI layout
    #[arg(long, short, value_name = "DIR", default_value = "/cache")]
    pub cache_dir: PathBuf,
    /// Not needed: layers are known by their digests, which do not age
    #[arg(long, value_name = "DURATION", hide = true)]
    pub cache_ttl: Option<GoDuration>,
    /// Platform to fetch, as os/arch[/variant] (default: this machine's)
    #[arg(
        long,
        alias = "customPlatform",
        visible_alias = "platform",
        value_name = "PLATFORM"
    )]
    pub custom_platform: Option<String>,
    /// Ask for images again whose digests are there already
    #[arg(long, short, value_name = "BOOL")]
    pub force: Option<Switch>,
    /// What all of these commands have.
    #[command(flatten)]
    pub common: CommonFlags,
}
