//! `bake`: several images from one description.

use std::path::PathBuf;

use super::go::Switch;

/// `bake`.
#[derive(Debug, Clone, clap::Args)]
pub struct Bake {
    /// Targets or groups to build (default: the group `default`, or every service with a build section)
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Compose file, or bake file in HCL or JSON; a later one changes what earlier ones say
    #[arg(long, short, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Print what would be built, as JSON, and build nothing
    #[arg(long)]
    pub print: bool,
    /// Change a target: TARGET.KEY=VALUE, where * stands for any characters of the name
    #[arg(long, value_name = "TARGET.KEY=VALUE")]
    pub set: Vec<String>,
    /// Profile of Compose whose services are built too
    #[arg(long, value_name = "NAME")]
    pub profile: Vec<String>,
    /// Push the images to their names
    #[arg(long, value_name = "BOOL")]
    pub push: Option<Switch>,
    /// Run every step, whatever the cache holds
    #[arg(long, value_name = "BOOL")]
    pub no_cache: Option<Switch>,
    /// Not needed: base images are always looked up in their registry
    #[arg(long, value_name = "BOOL")]
    pub pull: Option<Switch>,
    /// Grant network.host or security.insecure to RUN
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// File that gets the facts about every image as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// How progress looks: auto, tty, plain, quiet or rawjson
    #[arg(long, value_name = "MODE")]
    pub progress: Option<String>,
    /// Flags of `yadokari build` for every target, after --
    #[arg(last = true, value_name = "BUILD FLAGS")]
    pub build: Vec<String>,
}
