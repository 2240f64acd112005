//! A file tree as a value: what a layer holds, without the bytes of its files.
//!
//! A [`Tree`] is persistent: cloning one costs nothing, and an edit copies only
//! the directories on the way to the edited name. Two versions of a tree share
//! what did not change, and [`diff`] skips what they share, so its cost follows
//! the change and not the size of an image. A [`Node`] is one inode; the same
//! node under two names of a tree is a hard link.
//!
//! [`Tree::apply`] puts the members of a layer archive ([`Entry`]) onto a tree,
//! with symlinks resolved inside its root and whiteouts understood. [`diff`]
//! gives the [`Changes`] a layer has to carry. Nothing here touches a disk, and
//! paths are bytes: [`TreePath`] is never a host path.

mod apply;
mod changes;
mod content;
mod diff;
mod dump;
mod entry;
mod escape;
mod inode;
mod metadata;
mod name;
mod node;
mod path;
mod resolve;
mod text;
mod tree;
mod walk;
mod xattrs;

pub use apply::{Applied, ApplyError};
pub use changes::{Change, Changes};
pub use content::{ContentDigest, FileContent};
pub use diff::diff;
pub use entry::{Entry, EntryKind};
pub use escape::Escaped;
pub use inode::{Children, Inode, Kind};
pub use metadata::{Metadata, Timestamp};
pub use name::{Name, NameError};
pub use node::Node;
pub use path::TreePath;
pub use resolve::{Follow, ResolveError, Resolved};
pub use text::{TextError, tree};
pub use tree::{InsertError, Tree};
pub use walk::Walk;
pub use xattrs::{CAPABILITY, Xattrs};
