//! Command lines that cannot be used, and why.

use yadokari_image::ReferenceError;

/// A command line that cannot be used. The program ends with status 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// Nothing says where the image goes.
    #[error("no --destination is given, and no --no-push")]
    DestinationMissing,
    /// `--push` has nothing to push to.
    #[error("--push needs a name: --tag or --destination")]
    NameMissing,
    /// A file of names needs names.
    #[error("--{flag} needs a --destination")]
    NameFileWithoutDestination {
        /// The flag.
        flag: &'static str,
    },
    /// The cache's place can be derived from no destination.
    #[error("--cache with --no-push needs --cache-repo")]
    CacheWithoutRepository,
    /// Docker's media types know no zstd.
    #[error("zstd layers cannot be described by docker's media types")]
    ZstdWithDocker,
    /// A docker archive holds what docker understands.
    #[error("a docker archive ({flag}) cannot hold {what}")]
    DockerArchive {
        /// What asked for the archive.
        flag: &'static str,
        /// What was asked to be in it.
        what: &'static str,
    },
    /// The image is of one platform.
    #[error("annotation `{key}` is for an index, and an image of one platform has none")]
    IndexAnnotation {
        /// The annotation.
        key: String,
    },
    /// Two flags ask for different things.
    #[error("{first} and {second} contradict each other")]
    Contradiction {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A flag's value has the wrong form.
    #[error("--{flag}: `{value}`: {reason}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it, or what was expected.
        reason: String,
    },
    /// A flag names an image in a way that cannot be.
    #[error("--{flag}: `{value}` is no image reference")]
    Reference {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// A platform that cannot be read, or that images cannot be built for.
    #[error("{given}: `{value}`: {reason}")]
    Platform {
        /// The flag as it was typed, or the variable.
        given: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument has the wrong form.
    #[error("`{value}`: {reason}")]
    Argument {
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An argument names an image in a way that cannot be.
    #[error("`{value}` is no image reference")]
    Name {
        /// What was given.
        value: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// Something that the command needs to know was not given.
    #[error("nothing says {what}")]
    Unsaid {
        /// What is not known.
        what: &'static str,
        /// How to say it.
        how: &'static str,
    },
    /// A flag asks for what this program does not do.
    #[error("--{flag} cannot be done: {reason}")]
    Unavailable {
        /// The flag.
        flag: &'static str,
        /// Why not.
        reason: &'static str,
        /// What does the same.
        instead: &'static str,
    },
    /// A command of kaniko's that is not part of this program.
    #[error("`{name}` is not part of yadokari")]
    CommandRefused {
        /// The command.
        name: String,
    },
    /// A variable's value means nothing.
    #[error("{variable}: `{value}`: expected {expected}")]
    VariableValue {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A variable that a flag refers to is missing.
    #[error("--{flag}: the variable {variable} is not set")]
    VariableMissing {
        /// The flag.
        flag: &'static str,
        /// The variable.
        variable: String,
    },
}

impl UsageError {
    /// A flag's value has the wrong form.
    pub(super) fn value(
        flag: &'static str,
        value: Option<&str>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Value {
            flag,
            value: value.unwrap_or_default().to_owned(),
            reason: reason.into(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::DestinationMissing => "name a place with --destination REGISTRY/REPOSITORY:TAG, or add --no-push".to_owned(),
            Self::CacheWithoutRepository => {
                "name a repository with --cache-repo, or a directory with --cache-repo oci:DIR".to_owned()
            }
            Self::ZstdWithDocker => "use --image-format=oci, or --compression=gzip".to_owned(),
            Self::DockerArchive { what, .. } if what.contains("platforms") => {
                "use --push, or --output type=oci".to_owned()
            }
            Self::DockerArchive { .. } => "write an OCI layout with --oci-layout-path, or leave these options out".to_owned(),
            Self::Unavailable { instead, .. } => (*instead).to_owned(),
            Self::Unsaid { how, .. } => (*how).to_owned(),
            Self::CommandRefused { name } if name == "warmer" => {
                "base images need no warming: their layers are fetched once, while the build runs".to_owned()
            }
            Self::CommandRefused { name } if name.ends_with("push") => {
                "push with the build itself (--destination), or with `skopeo copy oci:DIR docker://REFERENCE`".to_owned()
            }
            Self::CommandRefused { .. } => "`yadokari bake` builds the images of a Compose file or a bake file".to_owned(),
            _ => return None,
        })
    }
}
