//! Unpacks an archive that holds a context.

use std::io::Read;
use std::path::Path;

use yadokari_layer::{LayerReader, Limits, ReadError};
use yadokari_rootfs::{Root, UnpackError, unpack};
use yadokari_tree::Tree;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is not a tar archive, damaged, or beyond a limit.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A member does not fit what came before, or the disk refused it.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

/// Unpacks a tar archive, compressed in any known way or not, below an empty root.
///
/// The archive is hostile: nothing is written outside the root, whatever its names and
/// links say. Names that mean something in layers mean nothing here.
pub(crate) fn unpack_archive<R>(archive: R, root: &Root, limits: Limits) -> Result<(), ArchiveError>
where
    R: Read + Send + 'static,
{
    let mut reader = LayerReader::new(archive, limits)?.with_whiteouts_as_files();
    unpack(root, &mut Tree::empty(), &mut reader)?;
    reader.finish()?;
    Ok(())
}

/// Makes the root that an archive is unpacked to.
pub(crate) fn make_root(path: &Path) -> std::io::Result<Root> {
    Root::create(path.join("context"))
}
