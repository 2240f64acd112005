//! What is wrong with a description of images, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be used, or a target that is not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BakeError {
    /// No file was named, and none of the usual names is there.
    #[error("there is no Compose or bake file in {}", .directory.display())]
    NoFile {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A file in HCL that cannot be parsed, or not be evaluated.
    #[error("{}: {reason}", .path.display())]
    Hcl {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where that is known.
        reason: String,
    },
    /// A file that is no YAML or JSON.
    #[error("{} cannot be parsed", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        source: serde_yaml::Error,
    },
    /// A key that has no meaning here.
    #[error("{place}: unknown key `{key}`{}", meant(*.near))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// The key that was probably meant.
        near: Option<&'static str>,
    },
    /// A key with a meaning that cannot be given.
    #[error("{place}: `{key}` cannot be done: {reason}")]
    Unavailable {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value of the wrong kind.
    #[error("{place}: `{key}`: expected {expected}")]
    Kind {
        /// Where.
        place: Place,
        /// The key.
        key: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A value that refers to a variable in a way that cannot be.
    #[error("{place}: {reason}")]
    Variable {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// A service extends one that is not there, or itself.
    #[error("{place}: service `{service}` {reason}")]
    Extends {
        /// Where.
        place: Place,
        /// The service.
        service: String,
        /// What is wrong.
        reason: String,
    },
    /// A build context that is not there.
    #[error("{}the context `{context}` of `{target}` is no directory", before(.place.as_ref()))]
    NoContext {
        /// Where it is named, if a file does that.
        place: Option<Place>,
        /// The context, as a path of the working directory.
        context: String,
        /// Whose it is.
        target: String,
    },
    /// A target that no file describes.
    #[error("there is no target `{name}`{}", listed(.others))]
    UnknownTarget {
        /// As typed.
        name: String,
        /// What there is.
        others: Vec<String>,
    },
    /// Targets that need each other.
    #[error("target `{name}` needs itself")]
    Cycle {
        /// One of them.
        name: String,
    },
    /// An override that cannot be applied.
    #[error("--set: `{text}`: {reason}")]
    Set {
        /// As typed.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A Dockerfile that stands in the file cannot be written out.
    #[error("cannot write {}", .path.display())]
    Inline {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// A place in a file; prints as `compose.yaml:12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its line, where it was found.
    pub line: Option<usize>,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self {
            file: path.to_owned(),
            line: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.file.display().fmt(f)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; there are {}", names.join(", ")),
    }
}

/// A place in front of what is said of it.
fn before(place: Option<&Place>) -> String {
    place.map(|place| format!("{place}: ")).unwrap_or_default()
}

fn meant(near: Option<&str>) -> String {
    near.map(|key| format!(" (did you mean `{key}`?)"))
        .unwrap_or_default()
}

impl BakeError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoFile { .. } => "name one with `-f FILE`".to_owned(),
            Self::Hcl { path, .. } => format!(
                "what is not evaluated here can be given as JSON: `docker buildx bake -f {} --print > docker-bake.json`",
                path.display()
            ),
            Self::Set { .. } => {
                "write it as TARGET.KEY=VALUE, as `--set web.args.VERSION=2` or `--set '*.no-cache=true'`"
                    .to_owned()
            }
            Self::NoContext { .. } => {
                "make the directory, or correct its path, which is shown as seen from the working directory"
                    .to_owned()
            }
            Self::Unavailable { .. } => "leave the key out".to_owned(),
            _ => return None,
        })
    }
}
