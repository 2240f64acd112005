//! What can go wrong while a layer is written.

use std::io;

use yadokari_tree::TreePath;

use crate::CompressError;

/// A layer cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A file's bytes cannot be read.
    #[error("cannot read `{path}`")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A file is shorter or longer than its node says.
    #[error(
        "`{path}` has {found} bytes where {expected} were expected: it changed while it was read"
    )]
    SizeChanged {
        /// The file.
        path: TreePath,
        /// Bytes according to the node.
        expected: u64,
        /// Bytes there were; one too many stands for any number too many.
        found: u64,
    },
    /// A file's bytes are not those its node was known by.
    #[error("`{path}` changed while it was read")]
    ContentChanged {
        /// The file.
        path: TreePath,
    },
    /// A socket, which tar cannot carry.
    #[error("`{path}` is a socket, which a layer cannot hold")]
    Socket {
        /// The socket.
        path: TreePath,
    },
    /// A device number that tar cannot carry.
    #[error("`{path}` has the device number {major}:{minor}, which a layer cannot hold")]
    DeviceNumber {
        /// The device.
        path: TreePath,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A path with a NUL byte, which tar cannot carry.
    #[error("`{path}` holds a NUL byte, which a layer cannot hold")]
    NulInPath {
        /// The path, or the path of the link whose target holds it.
        path: TreePath,
    },
    /// The archive cannot be written on.
    #[error("cannot write the layer")]
    Output {
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be compressed.
    #[error(transparent)]
    Compress(#[from] CompressError),
}
