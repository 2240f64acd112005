//! What was typed: one table of flags per group, and the command line they make up.
//!
//! Nothing here decides anything; [`crate::convert`] gives the values their meaning.

pub mod bake;
pub mod classic;
pub mod commands;
pub mod docker;
pub mod gitlab;
pub mod go;
pub mod help;
pub mod images;
pub mod kaniko;
pub mod parse;
pub mod place;
pub mod registry;

pub use bake::Bake;
pub use classic::ClassicFlags;
pub use commands::{Command, Doctor, Lint, Login, Logout};
pub use docker::DockerFlags;
pub use kaniko::KanikoFlags;
pub use parse::{Invocation, Style, parse};
pub use place::PlaceFlags;
pub use registry::RegistryFlags;

/// What the flag of the platform is called, by docker and by kaniko.
pub const PLATFORM: &[&str] = &["platform", "custom-platform", "customPlatform"];
/// What the flag of the Dockerfile is called, by docker and by kaniko.
pub const DOCKERFILE: &[&str] = &["file", "dockerfile"];

/// All flags of a build.
#[derive(Debug, Clone, clap::Args)]
pub struct BuildFlags {
    /// Flags that kaniko's executor has.
    #[command(flatten)]
    pub kaniko: KanikoFlags,
    /// Flags that `docker build` has.
    #[command(flatten)]
    pub docker: DockerFlags,
    /// Flags of docker's classic builder.
    #[command(flatten)]
    pub classic: ClassicFlags,
    /// Flags of our own.
    #[command(flatten)]
    pub place: PlaceFlags,
}
