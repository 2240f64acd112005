//! Names of one inode, met in any order by several threads.

use std::sync::Arc;

use yadokari_tree::{Name, Node};

use crate::compare::{Candidate, hash_young, read};
use crate::crew::Crew;
use crate::error::{At, ScanError};
use crate::found::Found;
use crate::pending::{Entry, Pending};
use crate::snapshot::Stamp;

/// A changed name of an inode that has others; it waits until all are met.
pub(crate) struct Deferred {
    pub(crate) directory: Arc<Pending>,
    pub(crate) slot: usize,
    pub(crate) name: Name,
    pub(crate) found: Found,
    pub(crate) known: Option<(Node, Option<Stamp>)>,
}

impl Deferred {
    fn inode(&self) -> ((u32, u32), u64) {
        (self.found.filesystem, self.found.stamp.inode)
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        self.known.as_ref().map(|(node, stamp)| Candidate {
            node,
            stamp: *stamp,
        })
    }
}

/// Gives all names of one inode one node.
///
/// Any change of an inode's names changes its change time, so of an inode
/// with a changed name all names are here.
pub(crate) fn settle(crew: &Crew<'_>, mut deferred: Vec<Deferred>) -> Result<(), ScanError> {
    deferred.sort_by_key(Deferred::inode);
    for names in deferred.chunk_by(|a, b| a.inode() == b.inode()) {
        let node = node(crew, names)?;
        for name in names {
            fill(crew, name, node.clone());
        }
    }
    Ok(())
}

fn node(crew: &Crew<'_>, names: &[Deferred]) -> Result<Node, ScanError> {
    let candidates: Vec<_> = names.iter().filter_map(Deferred::candidate).collect();
    let first = &names[0];
    let path = first.directory.path().join(&first.name);
    let opened = crew
        .task
        .root
        .parent(&path)
        .at("open the directory of", &path);
    let (dir, name) = opened?;
    let node = read(&dir, name, &first.found, &candidates).at("read", &path)?;
    hash_young(&dir, name, &first.found, &node, crew.task.taken).at("read", &path)?;
    Ok(node)
}

fn fill(crew: &Crew<'_>, name: &Deferred, node: Node) {
    let entry = Entry {
        node,
        stamp: name.found.stamp,
        stamps: None,
    };
    if name.directory.fill(name.slot, Some(entry), false) {
        crew.deliver(&name.directory);
    }
}
