//! What can be wrong with a layer archive.

use std::io;

use yadokari_tree::{Escaped, TreePath};

/// A layer archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes do not come, do not unpack, or are not the promised ones.
    #[error("cannot read the archive")]
    Input {
        /// Why.
        source: io::Error,
    },
    /// The archive ends inside a member or a compressed stream.
    #[error("the archive is cut short")]
    Truncated,
    /// A header whose checksum is wrong: no tar archive, or a damaged one.
    #[error("no tar header at byte {offset} of the archive")]
    BadChecksum {
        /// Where the header starts, in unpacked bytes.
        offset: u64,
    },
    /// A header field that holds no usable value.
    #[error("`{}` has no usable {field} in its header", Escaped(.name))]
    BadField {
        /// The member's name as written.
        name: Vec<u8>,
        /// The field.
        field: &'static str,
    },
    /// An extended header that is no sequence of records.
    #[error("malformed extended header before byte {offset} of the archive")]
    BadExtendedHeader {
        /// Where it ends, in unpacked bytes.
        offset: u64,
    },
    /// A sparse file whose map contradicts its size.
    #[error("`{}` has a malformed map of its holes", Escaped(.name))]
    BadSparseMap {
        /// The member's name as written.
        name: Vec<u8>,
    },
    /// A member of a type layers do not have.
    #[error("`{path}` has the type `{}`, which a layer cannot hold", .type_flag.escape_ascii())]
    UnknownType {
        /// The member.
        path: TreePath,
        /// The type as written.
        type_flag: u8,
    },
    /// A name with a NUL byte.
    #[error("`{}` is a name with a NUL byte", Escaped(.name))]
    NulInName {
        /// The name or link target as written.
        name: Vec<u8>,
    },
    /// A whiteout that names nothing.
    #[error("`{}` is a whiteout of nothing", Escaped(.name))]
    BadWhiteout {
        /// The member's name as written.
        name: Vec<u8>,
    },
    /// A link without a target.
    #[error("`{path}` is a link without a target")]
    EmptyLink {
        /// The member.
        path: TreePath,
    },
    /// More members than allowed.
    #[error("the archive has more than {limit} members")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// An extended header, long name or sparse map longer than allowed.
    #[error("the archive has a header of more than {limit} bytes")]
    HeaderTooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// A name or link target longer than allowed.
    #[error("the archive has a name of more than {limit} bytes")]
    NameTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More bytes than allowed.
    #[error("the archive unpacks to more than {limit} bytes")]
    UnpackedTooLong {
        /// The limit in bytes.
        limit: u64,
    },
}

impl ReadError {
    /// Finds the error that a reader of content wrapped up, or names what the system says.
    #[must_use]
    pub fn from_io(error: io::Error) -> Self {
        let kind = error.kind();
        match error.downcast::<Self>() {
            Ok(inner) => inner,
            Err(_) if kind == io::ErrorKind::UnexpectedEof => Self::Truncated,
            Err(source) => Self::Input { source },
        }
    }

    /// Wraps the error for readers of content, who speak `io::Error`.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Input { source } => source,
            Self::Truncated => io::Error::new(io::ErrorKind::UnexpectedEof, self),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        }
    }
}
