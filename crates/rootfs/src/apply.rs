//! Bringing a root from one tree to another.

use std::collections::{BTreeMap, HashMap, HashSet};

use yadokari_layer::Contents;
use yadokari_tree::{Change, Changes, Node, TreePath};

use crate::body::write_body;
use crate::error::UnpackError;
use crate::place::{Placer, Shortfalls};
use crate::root::Root;
use crate::unpack::{BUFFER_SIZE, record};

/// Makes the disk follow a change of the tree, metadata with nanoseconds and
/// all attributes included. Names of one changed inode become hard links.
///
/// # Errors
///
/// When a file cannot be read from `contents` or the operating system refuses
/// something; a part of the changes is then on disk.
pub fn apply(
    root: &Root,
    changes: &Changes,
    contents: &dyn Contents,
) -> Result<Shortfalls, UnpackError> {
    let mut application = Application {
        placer: Placer::new(root),
        contents,
        linked: changes.linked(),
        names: HashMap::new(),
        buffer: vec![0; BUFFER_SIZE].into_boxed_slice(),
    };
    for change in changes {
        match change {
            Change::Put { path, node } => application.put(path, &node)?,
            Change::Remove { path } => application.placer.remove(&path)?,
        }
    }
    let directories = directories(changes);
    application
        .placer
        .finish(|path| directories.get(path).map(Node::metadata))?;
    Ok(application.placer.shortfalls)
}

fn directories(changes: &Changes) -> BTreeMap<TreePath, Node> {
    let put = changes.iter().filter_map(|change| match change {
        Change::Put { path, node } if node.is_directory() => Some((path, node)),
        _ => None,
    });
    put.collect()
}

struct Application<'a> {
    placer: Placer<'a>,
    contents: &'a dyn Contents,
    /// Inodes that have several names.
    linked: HashSet<usize>,
    /// The name that each of them was given first.
    names: HashMap<usize, TreePath>,
    buffer: Box<[u8]>,
}

impl Application<'_> {
    fn put(&mut self, path: TreePath, node: &Node) -> Result<(), UnpackError> {
        if node.is_directory() {
            return self.placer.directory(&path);
        }
        if let Some(first) = self.names.get(&node.identity())
            && self.placer.link(&path, first)?
        {
            return Ok(());
        }
        match node.content() {
            Some(content) => self.file(&path, node, content.size)?,
            None => self.placer.special(&path, node.metadata(), node.kind())?,
        }
        if self.linked.contains(&node.identity()) {
            self.names.insert(node.identity(), path);
        }
        Ok(())
    }

    fn file(&mut self, path: &TreePath, node: &Node, size: u64) -> Result<(), UnpackError> {
        let contents = self.contents;
        let buffer = &mut self.buffer;
        let mut body = contents
            .open(path, node)
            .map_err(|source| UnpackError::Content {
                path: path.clone(),
                source,
            })?;
        let digest = self.placer.file(path, node.metadata(), |file| {
            write_body(path, size, &mut *body, file, buffer)
        })?;
        record(node, digest);
        Ok(())
    }
}
