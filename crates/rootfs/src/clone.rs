//! Copying a root that is already on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{copy_file_range, ioctl_ficlone};
use yadokari_tree::{Node, Tree, TreePath};

use crate::error::{At, CopyError, UnpackError};
use crate::place::{Placer, Shortfalls};
use crate::root::Root;

/// Writes `tree`, whose files are in `from`, to the empty root `to`: a stage
/// that starts from another stage. Bytes are shared where the filesystem can
/// do that, else copied inside the kernel; hard links stay hard links.
///
/// # Errors
///
/// When a file cannot be read or the operating system refuses something.
pub fn copy_root(from: &Root, tree: &Tree, to: &Root) -> Result<Shortfalls, CopyError> {
    let mut copying = Copying {
        from,
        placer: Placer::new(to),
        names: HashMap::new(),
    };
    from.forget();
    copying
        .placer
        .directory(&TreePath::root())
        .map_err(CopyError::Target)?;
    for (path, node) in tree.walk() {
        copying.put(path, node)?;
    }
    let metadata = |path: &TreePath| {
        let node = tree.get(path).filter(|node| node.is_directory());
        node.map(Node::metadata)
    };
    copying.placer.finish(metadata).map_err(CopyError::Target)?;
    Ok(copying.placer.shortfalls)
}

struct Copying<'a> {
    from: &'a Root,
    placer: Placer<'a>,
    names: HashMap<usize, TreePath>,
}

impl Copying<'_> {
    fn put(&mut self, path: TreePath, node: &Node) -> Result<(), CopyError> {
        if node.is_directory() {
            return self.placer.directory(&path).map_err(CopyError::Target);
        }
        if let Some(first) = self.names.get(&node.identity())
            && self.placer.link(&path, first).map_err(CopyError::Target)?
        {
            return Ok(());
        }
        if node.is_file() {
            self.file(&path, node)?;
        } else {
            let placed = self.placer.special(&path, node.metadata(), node.kind());
            placed.map_err(CopyError::Target)?;
        }
        self.names.insert(node.identity(), path);
        Ok(())
    }

    fn file(&mut self, path: &TreePath, node: &Node) -> Result<(), CopyError> {
        let opened = self.from.open_file(path).at("open", path);
        let mut source = opened.map_err(CopyError::Source)?;
        let copied = self.placer.file(path, node.metadata(), |file| {
            Ok::<_, UnpackError>(copy_bytes(&mut source, file).at("copy", path)?)
        });
        copied.map_err(CopyError::Target)
    }
}

/// Copies a whole file the cheapest way the filesystem knows.
pub(crate) fn copy_bytes(source: &mut File, target: &mut File) -> io::Result<()> {
    if source.metadata()?.len() == 0 || ioctl_ficlone(&*target, &*source).is_ok() {
        return Ok(());
    }
    loop {
        match copy_file_range(&*source, None, &*target, None, STEP) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Both positions stand where the kernel stopped.
            Err(_) => return copy_through_memory(source, target),
        }
    }
}

fn copy_through_memory(source: &mut dyn Read, target: &mut dyn Write) -> io::Result<()> {
    io::copy(source, target).map(drop)
}

const STEP: usize = 1 << 30;
