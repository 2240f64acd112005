//! Everything that can be wrong with a Dockerfile before anything is built.

use crate::lint::Earlier;
use crate::span::Span;
use crate::suggest::suffix;
use crate::value::duration::DurationError;
use crate::value::quote::quoted;

/// A Dockerfile that cannot be parsed.
///
/// `Display` is the reference's wording, including `dockerfile parse error on line N: ` where it puts that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where; absent if it is about the file as a whole.
    pub span: Option<Span>,
    /// What the build checks found in what was read until then, as far as the file wants to know.
    pub warnings: Earlier,
    pub(crate) phase: Phase,
}

/// When a problem was found, which decides how it is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// While reading lines and words.
    Lexing,
    /// While reading an instruction.
    Instruction,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Phase::Instruction, Some(span)) = (self.phase, self.span) {
            write!(f, "dockerfile parse error on line {}: ", span.first_line)?;
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    pub(crate) fn lexing(kind: ParseErrorKind, span: Option<Span>) -> Self {
        Self {
            kind,
            span,
            warnings: Earlier::default(),
            phase: Phase::Lexing,
        }
    }

    /// Says what could be done about it, where that is more than the message says.
    pub fn hint(&self) -> Option<String> {
        self.kind.hint()
    }
}

/// What is wrong with a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// There is nothing at all in the file.
    #[error("the Dockerfile cannot be empty")]
    Empty,
    /// There are only comments and blank lines.
    #[error("file with no instructions")]
    NoInstructions,
    /// There is no FROM.
    #[error("dockerfile contains no stages to build")]
    NoStages,
    /// An instruction other than ARG stands before the first FROM.
    #[error("no build stage in current context")]
    OutsideStage,
    /// A physical line is too long.
    #[error("dockerfile line greater than max allowed size of 65535")]
    LineTooLong,
    /// A directive stands twice.
    #[error("only one {0} parser directive can be used")]
    DirectiveRepeated(String),
    /// The escape directive names another character.
    #[error("invalid escape token '{0}' does not match ` or \\")]
    InvalidEscape(String),
    /// The check directive, or its build argument, cannot be read.
    #[error("failed to parse check options: {0}")]
    CheckOptions(#[from] CheckOptionsError),
    /// The end line of a heredoc is missing.
    #[error("unterminated heredoc")]
    UnterminatedHeredoc {
        /// The line that was looked for.
        name: String,
    },
    /// The name of a heredoc cannot be read.
    #[error(transparent)]
    HeredocName(Box<crate::expand::ExpandError>),
    /// `ENV a`.
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    /// A word without `=` among words with.
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", quoted(.0))]
    EqualsMissing(String),
    /// A JSON array with something else in it than strings.
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    /// No such instruction.
    #[error("unknown instruction: {name}{}", suffix(.suggestion.as_deref()))]
    UnknownInstruction {
        /// The keyword as written.
        name: String,
        /// A keyword near to it.
        suggestion: Option<String>,
    },
    /// No such flag for this instruction.
    #[error("unknown flag: --{name}{}", suffix(*.suggestion))]
    UnknownFlag {
        /// The flag, without its dashes.
        name: String,
        /// A flag near to it.
        suggestion: Option<&'static str>,
    },
    /// A flag stands twice.
    #[error("duplicate flag specified: --{0}")]
    DuplicateFlag(String),
    /// A flag has no value.
    #[error("missing a value on flag: --{0}")]
    FlagValueMissing(String),
    /// The value of a bool flag is neither true nor false.
    #[error("expecting boolean value for flag --{name}, not: {value}")]
    FlagNotBool {
        /// The flag, without its dashes.
        name: String,
        /// Its value.
        value: String,
    },
    /// FROM has the wrong number of words.
    #[error("FROM requires either one or three arguments")]
    FromWords,
    /// A stage cannot be named so.
    #[error("invalid name for build stage: {}, name can't start with a number or contain symbols", quoted(.0))]
    StageName(String),
    /// COPY or ADD without destination.
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination(&'static str),
    /// COPY or ADD to a heredoc.
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    /// An instruction without any argument.
    #[error("{0} requires at least one argument")]
    AtLeastOne(&'static str),
    /// An instruction that takes one argument has none.
    #[error("{0} requires exactly one argument")]
    ExactlyOne(&'static str),
    /// `ENV =x`.
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    /// `VOLUME [""]`.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    /// `SHELL x`.
    #[error("{0} requires the arguments to be in JSON form")]
    NotJson(&'static str),
    /// A health check that is neither CMD nor NONE.
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", quoted(.0))]
    HealthcheckType(String),
    /// `HEALTHCHECK CMD` without a command.
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthcheckCommand,
    /// `HEALTHCHECK NONE x`.
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    /// A time of HEALTHCHECK that cannot be read.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// A time of HEALTHCHECK that is too short, or negative.
    #[error("Interval {} cannot be less than 1ms", quoted(.0))]
    IntervalTooShort(&'static str),
    /// Retries of HEALTHCHECK that are no number.
    #[error("strconv.ParseInt: parsing {}: {reason}", quoted(.value))]
    Retries {
        /// The value.
        value: String,
        /// `invalid syntax` or `value out of range`.
        reason: &'static str,
    },
    /// Retries of HEALTHCHECK below zero.
    #[error("--retries cannot be negative ({0})")]
    NegativeRetries(i64),
    /// `ONBUILD ONBUILD`.
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedOnbuild,
    /// `ONBUILD FROM` and `ONBUILD MAINTAINER`.
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    TriggerNotAllowed(String),
    /// An ONBUILD trigger that holds more, or less, than one instruction.
    #[error("onbuild trigger should be a single expression")]
    TriggerNotSingle,
    /// No such network mode.
    #[error("invalid network mode {}", quoted(.0))]
    NetworkMode(String),
    /// No such security mode.
    #[error("security {} is not valid", quoted(.0))]
    SecurityMode(String),
    /// A mount that is wrong whatever its variables are.
    #[error(transparent)]
    Mount(Box<crate::instruction::MountError>),
}

/// Options of a check directive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckOptionsError {
    /// No such option, or one without value.
    #[error("invalid check option {}", quoted(.0))]
    Unknown(String),
    /// The value of `error` is not a boolean.
    #[error("failed to parse check option {}: strconv.ParseBool: parsing {}: invalid syntax", quoted(.option), quoted(.value))]
    NotBool {
        /// The whole option.
        option: String,
        /// Its value.
        value: String,
    },
}
