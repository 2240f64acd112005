//! What can be wrong with a mount.

use super::MountKind;
use crate::expand::ExpandError;
use crate::suggest::suffix;
use crate::value::quote::quoted;

/// A mount that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the messages say it; each field is the word the message shows"
)]
pub enum MountError {
    #[error("failed to parse csv mounts: EOF")]
    Empty,
    #[error("failed to parse csv mounts: parse error on line 1, column {column}: {problem}")]
    Csv {
        column: usize,
        problem: &'static str,
    },
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    VariableInFrom,
    #[error(transparent)]
    Expand(#[from] ExpandError),
    #[error("unsupported mount type {}{}", quoted(.value), suffix(*.suggestion))]
    UnsupportedType {
        value: String,
        suggestion: Option<&'static str>,
    },
    #[error("unexpected key '{key}' in '{field}'{}", suffix(*.suggestion))]
    UnexpectedKey {
        key: String,
        field: String,
        suggestion: Option<&'static str>,
    },
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyOfOtherType { key: &'static str, kind: MountKind },
    #[error("invalid field '{0}' must be a key=value pair")]
    ValueMissing(String),
    #[error("invalid value for {key}: {value}")]
    InvalidValue { key: String, value: String },
    #[error("invalid value {value} for {key}")]
    InvalidNumber { key: &'static str, value: String },
    #[error("unsupported sharing value {}{}", quoted(.value), suffix(*.suggestion))]
    UnsupportedSharing {
        value: String,
        suggestion: Option<&'static str>,
    },
    #[error("{key} not allowed for {} type mounts", quoted(.kind.name()))]
    NotAllowed { key: &'static str, kind: MountKind },
    #[error("secret mount should not have a from")]
    SecretFrom,
    #[error("secret mount should not define sharing")]
    SecretSharing,
    #[error("invalid secret mount. one of source, target required")]
    SecretUnnamed,
    #[error("both source and id can't be set")]
    SecretTwoNames,
    #[error("invalid cache sharing set for {0} mount")]
    SharingOfOtherType(MountKind),
    #[error("ssh does not support source")]
    SshSource,
}
