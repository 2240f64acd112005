//! Changes of a tree as tar bytes and back.
//!
//! [`pack`] turns [`Changes`](yadokari_tree::Changes) into a compressed layer in
//! one pass: files are read once, nothing is held whole in memory, and both digests
//! come out at the end. The archive is the one BuildKit writes, byte for byte, and
//! the compressed bytes depend on nothing but it and the level. [`LayerReader`]
//! goes the other way and treats every archive as hostile: it yields
//! [`Entry`](yadokari_tree::Entry) values within [`Limits`] and never a path that
//! leaves the root.
//!
//! Only [`Read`](std::io::Read) and [`Write`](std::io::Write) are used; no path of
//! a host is ever opened here.

mod archive_kind;
mod block;
mod blocks;
mod compress_error;
mod compression;
mod contents;
mod decompress;
mod digests;
mod encode;
mod fields;
mod gzip;
mod limits;
mod members;
mod pack;
mod pax;
mod read;
mod read_error;
mod sparse;
mod stream;
mod verify;
mod write;
mod write_error;

pub use archive_kind::ArchiveKind;
pub use compress_error::CompressError;
pub use compression::Compression;
pub use contents::Contents;
pub use decompress::decompressed;
pub use limits::Limits;
pub use pack::{PackOptions, Packed, compress, pack};
pub use read::LayerReader;
pub use read_error::ReadError;
pub use verify::{Verify, VerifyError};
pub use write::{TarOptions, write_tar};
pub use write_error::WriteError;

/// What the name of a member starts with that removes a name below it.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The name of a member that hides what lower layers have in its directory.
pub const OPAQUE_WHITEOUT: &[u8] = b".wh..wh..opq";
