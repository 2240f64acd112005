//! Every flag of kaniko's executor, by its name there.

use std::path::PathBuf;

use super::RegistryFlags;
use super::go::{GoDuration, KeyValue, Switch};

/// Flags that kaniko's executor has. `BOOL` values may be left out and then mean true.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options (kaniko's names)")]
pub struct KanikoFlags {
    /// Annotation of the manifest; buildx' `manifest:` and `manifest-descriptor:` prefixes work too
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<KeyValue>,
    /// Value of an ARG; a bare name takes it from the environment
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Google Cloud Storage bucket that holds the context
    #[arg(long, short, hide = true)]
    pub bucket: Option<String>,
    /// Look steps up in the layer cache and record them there
    #[arg(long, value_name = "BOOL")]
    pub cache: Option<Switch>,
    /// Cache layers of COPY and ADD (default: true)
    #[arg(long, value_name = "BOOL")]
    pub cache_copy_layers: Option<Switch>,
    /// Directory of base images that `warmer` has filled (default: /cache)
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Repository of cached layers; `oci:DIR` keeps them in a directory (default: the first destination + /cache)
    #[arg(long, value_name = "REPOSITORY")]
    pub cache_repo: Option<String>,
    /// Cache layers of RUN (default: true)
    #[arg(long, value_name = "BOOL")]
    pub cache_run_layers: Option<Switch>,
    /// Cached layers older than this are not used (default: 336h)
    #[arg(long, value_name = "DURATION")]
    pub cache_ttl: Option<GoDuration>,
    /// Not needed: the file system is always as it was before
    #[arg(long, value_name = "BOOL")]
    pub cleanup: Option<Switch>,
    /// Not needed: cached layers are streamed
    #[arg(long, value_name = "BOOL")]
    pub compressed_caching: Option<Switch>,
    /// Compression of new layers: gzip or zstd
    #[arg(long, value_name = "CODEC")]
    pub compression: Option<String>,
    /// Level of compression, when above 0
    #[arg(long, value_name = "LEVEL", allow_negative_numbers = true)]
    pub compression_level: Option<i32>,
    /// Build context: directory, dir://, tar://, git://, s3://, gs:// or https://
    #[arg(long, short, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Directory below the context to use in its place
    #[arg(long, value_name = "DIR")]
    pub context_sub_path: Option<PathBuf>,
    /// Platforms to build for
    #[arg(
        help = "Platform to build for, as os/arch[/variant] (default: this machine's)",
        long,
        alias = "customPlatform",
        visible_alias = "platform",
        value_name = "PLATFORM"
    )]
    pub custom_platform: Option<String>,
    /// Where to push the image
    #[arg(long, short, value_name = "REFERENCE")]
    pub destination: Vec<String>,
    /// File, or http(s) URL, that gets the digest
    #[arg(long, value_name = "FILE")]
    pub digest_file: Option<String>,
    /// Dockerfile: a path, below the context or not, an http(s) URL, or - for standard input
    #[arg(long, short = 'f', visible_alias = "file", value_name = "FILE")]
    pub dockerfile: Option<String>,
    /// Print the plan and build nothing
    #[arg(long, value_name = "BOOL")]
    pub dryrun: Option<Switch>,
    /// Take this place for a container, so that rootswap isolation may be used
    #[arg(long, value_name = "BOOL")]
    pub force: Option<Switch>,
    /// Not needed: metadata instructions are always kept
    #[arg(long, value_name = "BOOL", hide = true)]
    pub force_build_metadata: Option<Switch>,
    /// How a git context is cloned: branch=, single-branch=, depth=, recurse-submodules=, insecure-skip-tls=
    #[arg(long, value_name = "KEY=VALUE")]
    pub git: Vec<String>,
    /// Path that is never part of a layer
    #[arg(long, value_name = "PATH")]
    pub ignore_path: Vec<PathBuf>,
    /// Not needed: what the runtime mounts is never captured
    #[arg(long, alias = "whitelist-var-run", value_name = "BOOL")]
    pub ignore_var_run: Option<Switch>,
    /// Media types of the image: oci or docker (kaniko's command line: as the base image has them)
    #[arg(long, value_name = "FORMAT")]
    pub image_format: Option<String>,
    /// File that gets name:tag@digest, a line per destination
    #[arg(long, value_name = "FILE")]
    pub image_name_tag_with_digest_file: Option<PathBuf>,
    /// File that gets name@digest, a line per destination
    #[arg(long, value_name = "FILE")]
    pub image_name_with_digest_file: Option<PathBuf>,
    /// The same as --state-dir
    #[arg(long, value_name = "DIR", hide = true)]
    pub kaniko_dir: Option<PathBuf>,
    /// Label of the image
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// How messages look: text, color or json (default: color where the reader shows it)
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Put the time before every line
    #[arg(long, value_name = "BOOL")]
    pub log_timestamp: Option<Switch>,
    /// Leave the image's root filesystem in the state directory, under `materialized`
    #[arg(long, value_name = "BOOL")]
    pub materialize: Option<Switch>,
    /// Do not push the image
    #[arg(long, value_name = "BOOL")]
    pub no_push: Option<Switch>,
    /// Do not record layers in the cache
    #[arg(long, value_name = "BOOL")]
    pub no_push_cache: Option<Switch>,
    /// Write the image as an OCI layout into this directory
    #[arg(long, alias = "oci-layout", value_name = "DIR")]
    pub oci_layout_path: Option<PathBuf>,
    /// Not needed: a build leaves nothing behind that a next one would have to remove
    #[arg(long, value_name = "BOOL")]
    pub pre_cleanup: Option<Switch>,
    /// Not needed: the context is never touched
    #[arg(long, value_name = "BOOL")]
    pub preserve_context: Option<Switch>,
    /// Leave all times out of the image
    #[arg(long, value_name = "BOOL")]
    pub reproducible: Option<Switch>,
    /// How registries are reached.
    #[command(flatten)]
    pub registry: RegistryFlags,
    /// Secrets for RUN --mount=type=secret
    #[arg(
        help = "Secret for RUN --mount=type=secret: id=ID[,src=FILE|,env=NAME][,type=file|env]",
        long,
        value_name = "SPEC"
    )]
    pub secret: Vec<String>,
    /// Put everything the build adds into one layer
    #[arg(long, value_name = "BOOL")]
    pub single_snapshot: Option<Switch>,
    /// Not needed: stages that nothing uses are never built
    #[arg(long, value_name = "BOOL", hide = true)]
    pub skip_unused_stages: Option<Switch>,
    /// Not needed: every change is found at the cost of `time`
    #[arg(long, alias = "snapshotMode", value_name = "MODE")]
    pub snapshot_mode: Option<String>,
    /// Write the image as a docker archive
    #[arg(long, alias = "tarPath", value_name = "FILE")]
    pub tar_path: Option<PathBuf>,
    /// Stage to build; of several the first is published (default: the last of the file)
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub target: Vec<String>,
    /// Not needed: RUN never needs a second look at the file system
    #[arg(long, value_name = "BOOL")]
    pub use_new_run: Option<Switch>,
    /// How much is told: trace, debug, info, warn, error, fatal or panic (default: info)
    #[arg(long, short, value_name = "LEVEL")]
    pub verbosity: Option<String>,
}
