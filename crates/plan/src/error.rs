//! Why a Dockerfile cannot be planned.

use yadokari_dockerfile::{ParseError, Span, expand::ExpandError, lint::Earlier};
use yadokari_image::ReferenceError;

/// A Dockerfile that parses and still cannot be built, and where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}")]
pub struct PlanError {
    /// What is wrong.
    #[source]
    pub kind: PlanErrorKind,
    /// The lines it is about, where it is about any.
    pub span: Option<Span>,
    /// What the build checks found before, in the order of evaluation and wanted or not.
    pub warnings: Earlier,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanErrorKind {
    /// A base name expands to nothing.
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    /// Stages need one another in a circle.
    #[error("circular dependency detected on stage: {stage}")]
    Cycle {
        /// The stage that needs itself.
        stage: String,
        /// The stages of the circle, in the order in which they need one another.
        links: Vec<Link>,
    },
    /// A stage is copied from before it is defined.
    #[error(
        "cannot copy from stage {from:?}, it needs to be defined before current stage {current:?}"
    )]
    CopyForward {
        /// The stage as typed.
        from: String,
        /// The stage that copies.
        current: String,
    },
    /// A stage is mounted before it is defined.
    #[error(
        "cannot mount from stage {from:?} to {target:?}, stage needs to be defined before current command"
    )]
    MountForward {
        /// The stage as typed.
        from: String,
        /// Where it would be mounted.
        target: String,
    },
    /// A variable stands where none is expanded.
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    VariableInFrom,
    /// A variable stands in the `from` of a mount.
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    VariableInMountFrom,
    /// A platform expands to nothing.
    #[error("empty platform value from expression {written}{}", did_you_mean(suggestion.as_deref()))]
    EmptyPlatform {
        /// The platform, unexpanded.
        written: String,
        /// An argument of a similar name.
        suggestion: Option<String>,
    },
    /// A platform does not parse.
    #[error("failed to parse platform {platform}: {reason}")]
    BadPlatform {
        /// The platform, unexpanded.
        platform: String,
        /// What is wrong with it, and maybe an argument of a similar name.
        reason: String,
    },
    /// An image reference does not parse.
    #[error("failed to parse stage name {name:?}: {source}")]
    BadReference {
        /// The reference.
        name: String,
        /// What is wrong with it.
        source: Box<ReferenceError>,
    },
    /// A stage number is out of range.
    #[error("invalid stage index {0}")]
    StageIndex(String),
    /// No stage has the target's name.
    #[error("target stage {name:?} could not be found{}", did_you_mean(.suggestion.as_deref()))]
    TargetUnknown {
        /// The target as typed.
        name: String,
        /// A stage with a similar name.
        suggestion: Option<String>,
    },
    /// A named context's value means nothing.
    #[error("invalid context specifier {value} for {name}")]
    BadContext {
        /// The context's name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A word cannot be expanded.
    #[error(transparent)]
    Expand(Box<ExpandError>),
    /// A trigger of the base cannot be read.
    #[error("{0}")]
    Trigger(Box<ParseError>),
    /// A value of an instruction is wrong.
    #[error("{0}")]
    Value(String),
    /// RUN with an empty list.
    #[error("failed to marshal LLB definition: arguments are required")]
    NoArguments,
    /// A right that was not granted.
    #[error("failed to load LLB: {0} is not allowed")]
    NotAllowed(&'static str),
    /// `--device`, which no builder but one under development takes.
    #[error("device feature is only supported in Dockerfile frontend 1.14.0-labs or later")]
    Device,
    /// COPY of something remote.
    #[error("source can't be a {0} for COPY")]
    CopyRemote(&'static str),
    /// `--checksum` with several sources.
    #[error("checksum can't be specified for multiple sources")]
    ChecksumMany,
    /// `--checksum` with a local file.
    #[error("checksum requires HTTP(S) or Git sources")]
    ChecksumLocal,
    /// A user is given by name where no file can tell who that is.
    #[error(
        "invalid user index: -1 (the name {0:?} cannot be looked up: there are no files below this step)"
    )]
    OwnerWithoutFiles(String),
    /// The epoch is not a number.
    #[error("invalid SOURCE_DATE_EPOCH: {0}")]
    Epoch(String),
}

/// A stage of a circle, and the line that needs the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The stage's name.
    pub stage: String,
    /// The line, counted from 1.
    pub line: usize,
}

pub(crate) fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

impl From<ExpandError> for PlanErrorKind {
    fn from(error: ExpandError) -> Self {
        Self::Expand(Box::new(error))
    }
}

impl PlanErrorKind {
    /// Says where.
    pub(crate) fn at(self, span: Span) -> PlanError {
        PlanError {
            kind: self,
            span: Some(span),
            warnings: Earlier::default(),
        }
    }

    /// An error that no line is to blame for.
    pub(crate) fn nowhere(self) -> PlanError {
        PlanError {
            kind: self,
            span: None,
            warnings: Earlier::default(),
        }
    }
}

/// Attaches the span to whatever an instruction fails with.
pub(crate) trait At<T> {
    fn at(self, span: Span) -> Result<T, PlanError>;
}

impl<T, E: Into<PlanErrorKind>> At<T> for Result<T, E> {
    fn at(self, span: Span) -> Result<T, PlanError> {
        self.map_err(|error| error.into().at(span))
    }
}
