//! The one place where paths below a build root are opened.
//!
//! A [`Root`] is a directory that stands for `/` of an image; nothing done
//! through it reaches outside, whatever links and names an image, an archive
//! or a command left in it. [`unpack`] writes layers to it, [`apply`] brings it
//! from one tree to another, [`copy_root`] copies it.
//!
//! [`scan`] reads it back: into a [`Snapshot`], whose tree shares with the
//! previous one whatever did not change. Where a command ran on an overlay of
//! the root, [`OverlayUpper`] gives the same tree without reading the rest of it. [`walk`] and [`hash_files`] do the
//! same for a build context.
//!
//! ```
//! use yadokari_rootfs::{Root, ScanOptions, scan};
//! use yadokari_tree::diff;
//!
//! # let directory = tempfile::tempdir()?;
//! let root = Root::open(directory.path())?;
//! root.write_file(&"/motd".into(), b"hello", 0o644)?;
//! let before = scan(&root, None, &ScanOptions::default())?;
//!
//! root.create_dir(&"/etc".into(), 0o755)?;
//! let after = scan(&root, Some(&before), &ScanOptions::default())?;
//! assert_eq!(diff(before.tree(), after.tree()).to_string(), "+ /etc\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod attributes;
mod below;
mod beneath;
mod body;
mod clock;
mod clone;
mod compare;
mod crew;
mod describe;
mod directory;
mod error;
mod found;
mod gather;
mod hash;
mod in_root;
mod links;
mod listing;
mod overlay;
mod pending;
mod place;
mod remove;
mod root;
mod scan;
mod selection;
mod snapshot;
mod stored;
mod unpack;

pub use apply::apply;
pub use clone::copy_root;
pub use error::{CopyError, DiskError, ScanError, UnpackError};
pub use hash::hash_files;
pub use overlay::{OverlayMarks, OverlayUpper};
pub use place::Shortfalls;
pub use remove::remove_tree;
pub use root::Root;
pub use scan::{ScanOptions, scan, walk};
pub use selection::{Exclude, ExcludePredicate};
pub use snapshot::Snapshot;
pub use unpack::{Unpacked, Unpacker, unpack};
