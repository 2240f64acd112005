//! Hashing many files at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use yadokari_tree::{Node, TreePath};

use crate::compare::hash;
use crate::error::{At, DiskError, ScanError};
use crate::root::Root;

/// Records the digests of all these files' bytes in their nodes; what is no
/// regular file or already has one is passed over.
///
/// # Errors
///
/// The first file that cannot be read.
pub fn hash_files(
    root: &Root,
    files: &[(TreePath, Node)],
    threads: usize,
) -> Result<(), ScanError> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some((path, node)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = hash_file(root, path, node) {
                next.store(files.len(), Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

fn hash_file(root: &Root, path: &TreePath, node: &Node) -> Result<(), DiskError> {
    let Some(content) = node.content().filter(|content| content.digest().is_none()) else {
        return Ok(());
    };
    let (dir, name) = root.place(path).at("open the directory of", path)?;
    content.set_digest(hash(&dir, name).at("read", path)?);
    Ok(())
}
