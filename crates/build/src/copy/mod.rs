//! COPY and ADD as operations on trees: no file is opened, no disk is touched.
//!
//! [`select`] finds what the sources name, [`Placement`] puts it into the stage's tree by the rules of the
//! reference, and [`Origins`] remembers where the bytes of each new file are, so that the layer can
//! be streamed from there.

mod archive;
mod filter;
mod near;
mod operand;
mod origin;
mod place;
mod select;
mod taken;
#[cfg(test)]
mod tests;

pub use archive::ExtractFailure;
pub(crate) use archive::{Extraction, copy_digesting};
pub(crate) use near::nearest_path;
pub(crate) use origin::{Origin, Origins, ScratchPath};
pub(crate) use place::{Owner, Placement, Rules};
pub(crate) use select::{Selected, select, select_with_parents};
pub(crate) use taken::taken;

use yadokari_dockerfile::value::quote::quoted;
use yadokari_tree::{ResolveError, TreePath};

/// Why a COPY or ADD cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyFailure {
    /// A plain source names nothing.
    #[error("\"{path}\": not found")]
    Missing {
        /// The source as a path in the tree it comes from.
        path: String,
    },
    /// The part of a pattern before its first wildcard names nothing.
    #[error("lstat {path}: no such file or directory")]
    MissingPrefix {
        /// That part.
        path: String,
    },
    /// A pattern cannot be read.
    #[error("{pattern:?}: syntax error in pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// Something that is no directory stands in the way of the destination.
    #[error("mkdir {path}: not a directory")]
    NotDirectory {
        /// What stands in the way.
        path: String,
    },
    /// A directory would have to take the place of something else.
    #[error("cannot copy to non-directory: {path}")]
    OntoNonDirectory {
        /// What is there.
        path: String,
    },
    /// A file would have to take the place of a directory.
    #[error("cannot replace to directory {path} with file")]
    OntoDirectory {
        /// The directory.
        path: String,
    },
    /// Symbolic links lead in a circle, or through too many steps.
    #[error("{path}: too many links")]
    LinkLoop {
        /// The path that was being resolved.
        path: String,
    },
    /// An archive's implied parent directory exists as something else.
    #[error("open {path}: the archive needs a directory there, and something else exists")]
    ArchiveParent {
        /// The member that needs it.
        path: String,
    },
}

impl CopyFailure {
    fn unresolved(path: &[u8], error: ResolveError) -> Self {
        match error {
            ResolveError::NotDirectory { path } => Self::NotDirectory { path: shown(&path) },
            _ => Self::LinkLoop {
                path: shown(&TreePath::parse(path)),
            },
        }
    }
}

/// A path for people: as it is, but for what would end a quotation or move a terminal's cursor.
pub(crate) fn shown(path: &TreePath) -> String {
    let quoted = quoted(&String::from_utf8_lossy(path.as_bytes()));
    format!("/{}", &quoted[1..quoted.len() - 1])
}
