//! Cache mounts that survive the job: directories kept as chunks in a registry or an OCI layout.
//!
//! A [`MountStore`] keeps one record per [`MountIdentity`]: a manifest under the tag `mount-<hash>`. Its configuration
//! says which chunks make up the directory; its layers are the chunks. Two streams are cut into chunks where
//! their content says so, so that a small change makes few new ones: the listing (names, rights, owners, times, links,
//! attributes) and the contents of all files, one after another in the listing's order.
//!
//! A chunk is a blob under its digest and never changes. Saving adds the chunks that are missing, then the
//! manifest, then moves the tag: whoever reads meanwhile sees the record before or the one after, and of two that
//! save at once the later one stays.
//!
//! [`LocalMounts`] are the directories themselves, with the locks that builds of one machine take turns by.

mod chunks;
mod document;
mod error;
mod folder;
mod listing;
mod local;
mod locks;
mod name;
mod pack;
mod place;
mod restore;
mod save;
mod store;

pub use document::{Saved, is_mount_tag};
pub use error::MountError;
pub use listing::same_files;
pub use local::{LocalMount, LocalMounts, LocalSlot, PrunedMounts};
pub use locks::{LockKind, MountLock};
pub use name::{MountIdentity, MountName};
pub use restore::Restored;
pub use save::{SaveRequest, SavedNow};
pub use store::MountStore;
