//! `RUN --mount=…`.

mod csv;
mod error;
mod resolve;

pub use error::MountError;

use crate::expand::Expander;
use crate::suggest::nearest;

/// A mount as written: fields whose values are not expanded.
///
/// Keys are checked when the mount is resolved, since that is when the reference does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMount {
    fields: Vec<String>,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// The stage, context or image it comes from; the build context if absent.
    pub from: Option<String>,
    /// The path in there, or for secrets the id.
    pub source: Option<String>,
    /// Where it is mounted; the working directory if absent (secrets and sockets have places of their own).
    pub target: Option<String>,
    /// Whether the command may not write.
    pub read_only: bool,
    /// The id of a cache, a secret or an agent.
    pub id: Option<String>,
    /// Who may use a cache at the same time.
    pub sharing: Option<Sharing>,
    /// Whether a secret or an agent has to be there.
    pub required: bool,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes a tmpfs may hold.
    pub size: Option<i64>,
    /// The environment variable a secret is put into.
    pub env: Option<String>,
    /// Names used in its values that are not set.
    pub undefined: Vec<String>,
}

/// The types of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the type of its name")]
pub enum MountKind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Everybody, each with a copy if it is in use.
    Private,
    /// One after the other.
    Locked,
}

impl MountKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bind,
        Self::Cache,
        Self::Tmpfs,
        Self::Secret,
        Self::Ssh,
    ];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }

    fn parse(value: &str) -> Result<Self, MountError> {
        let lower = value.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == lower)
            .ok_or_else(|| MountError::UnsupportedType {
                value: value.to_owned(),
                suggestion: nearest(value, Self::ALL.map(Self::name)),
            })
    }
}

impl std::fmt::Display for MountKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Sharing {
    fn parse(value: &str) -> Result<Self, MountError> {
        Ok(match value.to_lowercase().as_str() {
            "shared" => Self::Shared,
            "private" => Self::Private,
            "locked" => Self::Locked,
            _ => {
                let suggestion = nearest(value, ["shared", "private", "locked"]);
                return Err(MountError::UnsupportedSharing {
                    value: value.to_owned(),
                    suggestion,
                });
            }
        })
    }
}

impl RawMount {
    /// Splits the value of the flag, and checks what does not depend on variables.
    ///
    /// # Errors
    ///
    /// If the commas and quotes do not fit together, or `from` holds a variable.
    pub fn parse(text: &str) -> Result<Self, MountError> {
        let raw = Self {
            fields: csv::fields(text)?,
        };
        if raw.from().is_some_and(has_variable) {
            return Err(MountError::VariableInFrom);
        }
        Ok(raw)
    }

    /// The `from` of the mount, which is known before anything is expanded.
    pub fn from(&self) -> Option<&str> {
        let pairs = self.fields.iter().filter_map(|field| field.split_once('='));
        pairs
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case("from"))
            .map(|(_, value)| value)
    }
}

fn has_variable(value: &str) -> bool {
    value
        .find('$')
        .is_some_and(|at| value[at + 1..].starts_with(|c| c != '\n'))
}

impl Mount {
    /// Expands the values of a mount and checks it.
    ///
    /// # Errors
    ///
    /// If a value cannot be expanded, or the mount makes no sense.
    pub fn resolve(raw: &RawMount, expander: &Expander<'_>) -> Result<Self, MountError> {
        resolve::resolve(&raw.fields, expander)
    }
}

impl Default for Mount {
    fn default() -> Self {
        Self {
            kind: MountKind::Bind,
            from: None,
            source: None,
            target: None,
            read_only: true,
            id: None,
            sharing: None,
            required: false,
            mode: None,
            uid: None,
            gid: None,
            size: None,
            env: None,
            undefined: Vec::new(),
        }
    }
}
