//! What can go wrong while a layer is compressed.

use std::io;
use std::ops::RangeInclusive;

/// A layer cannot be compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// The compression has no such level.
    #[error("compression level {level} is not between {} and {}", .levels.start(), .levels.end())]
    Level {
        /// The level asked for.
        level: i64,
        /// The levels there are.
        levels: RangeInclusive<i64>,
    },
    /// The archive cannot be read.
    #[error("cannot read the archive")]
    Input {
        /// Why.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write the layer")]
    Output {
        /// Why.
        source: io::Error,
    },
    /// The compressor failed.
    #[error("cannot compress the layer")]
    Compressor {
        /// Why.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread {
        /// Why.
        source: io::Error,
    },
    /// A thread ended before its work was done.
    #[error("a compression thread ended early")]
    WorkerGone,
}
