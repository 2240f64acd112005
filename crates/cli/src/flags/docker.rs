//! Flags of `docker build` and `docker buildx build` that kaniko does not have.

use std::path::PathBuf;

use super::go::{Size, Switch};

/// Flags that `docker build` has.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options (docker's names)")]
pub struct DockerFlags {
    /// Name of the image; pushed with --push
    #[arg(long, short, value_name = "REFERENCE")]
    pub tag: Vec<String>,
    /// Push the image to its names
    #[arg(long, value_name = "BOOL")]
    pub push: Option<Switch>,
    /// Load the image into the container engine that DOCKER_HOST names, or that is found here
    #[arg(long, value_name = "BOOL")]
    pub load: Option<Switch>,
    /// Results besides destinations
    #[arg(
        help = "Result: type=oci|docker|local|tar|registry|image[,dest=PATH][,tar=BOOL][,name=REFERENCE]..., or a directory, or -",
        long,
        short,
        value_name = "SPEC"
    )]
    pub output: Vec<String>,
    /// Named context: a directory, docker-image://, oci-layout://, https:// or git
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// ssh agent or keys for RUN --mount=type=ssh
    #[arg(long, value_name = "default|ID[=SOCKET|KEY[,KEY]]")]
    pub ssh: Vec<String>,
    /// Network of RUN: default, host or none
    #[arg(long, value_name = "MODE")]
    pub network: Option<String>,
    /// Further line of /etc/hosts in RUN
    #[arg(long, value_name = "HOST:IP")]
    pub add_host: Vec<String>,
    /// Limit of RUN's processes
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Size of /dev/shm in RUN
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<Size>,
    /// Host name in RUN
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Run every step, whatever the cache holds
    #[arg(long, value_name = "BOOL")]
    pub no_cache: Option<Switch>,
    /// Run every step of these stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Where cached layers are looked up: type=registry,ref=REPOSITORY, type=local,src=DIR, or an image
    #[arg(long, value_name = "SPEC")]
    pub cache_from: Vec<String>,
    /// Where layers are recorded: type=registry,ref=REPOSITORY or type=local,dest=DIR
    #[arg(long, value_name = "SPEC")]
    pub cache_to: Vec<String>,
    /// Check the Dockerfile and build nothing
    #[arg(long, value_name = "BOOL")]
    pub check: Option<Switch>,
    /// What to do: build or check
    #[arg(long, value_name = "METHOD")]
    pub call: Option<String>,
    /// File that gets the image's id, the digest of its configuration
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// File that gets the result's facts as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// File that gets a trace of the work, for chrome://tracing or Perfetto
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print the image's id and nothing else
    #[arg(long, short, value_name = "BOOL")]
    pub quiet: Option<Switch>,
    /// How progress looks: auto, tty, plain, quiet or rawjson
    #[arg(long, value_name = "MODE")]
    pub progress: Option<String>,
    /// Grant network.host or security.insecure to RUN
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Not needed: base images are always looked up in their registry
    #[arg(long, value_name = "BOOL")]
    pub pull: Option<Switch>,
    /// Only `false`: no attestations are made
    #[arg(long, value_name = "BOOL|SPEC")]
    pub provenance: Option<String>,
    /// Only `false`: no attestations are made
    #[arg(long, value_name = "BOOL|SPEC")]
    pub sbom: Option<String>,
}
