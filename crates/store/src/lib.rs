//! Images and blobs on disk: the blob spool, OCI image layouts and docker archives.
//!
//! A [`Spool`] takes layers as they are made or downloaded and gives each a place under
//! its digest. [`Layout`] and [`write_archive`] write finished images, handed over as
//! [`Export`]s whose layers are opened only while they are copied; [`read_archive`] and
//! [`Layout::image`] read them back. Whatever is written appears complete or not at all, and
//! every byte that passes is checked against its digest.

mod archive;
mod archive_read;
mod arrival;
mod choose;
mod content;
mod entries;
mod error;
mod image_blobs;
mod layout;
mod receive;
mod scratch;
mod spool;
#[cfg(test)]
mod testing;
mod writer;

pub use archive::{Flavour, write_archive, write_archive_file};
pub use archive_read::{ArchiveError, read_archive};
pub use arrival::{Arrival, Follower};
pub use choose::LayoutName;
pub use content::ExportError;
pub use entries::{CREATED, Content, Export, IMAGE_NAME, REF_NAME};
pub use error::StoreError;
pub use image_blobs::{ImageBlobs, InvalidImage, LayerBlob};
pub use layout::{Layout, LayoutError, Others, Swept};
pub use receive::ReceiveError;
pub use scratch::{ScratchFile, append_line, write_atomically};
pub use spool::{Blob, Spool};
pub use writer::{BlobWriter, PlainWriter};
