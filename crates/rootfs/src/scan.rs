//! Reading a root into a tree, at the cost of one `statx` per unchanged file.

use std::collections::BTreeSet;

use yadokari_tree::{Timestamp, Tree, TreePath};

use crate::clock::filesystem_now;
use crate::crew::{Crew, Task};
use crate::error::{At, ScanError};
use crate::root::Root;
use crate::selection::{ExcludePredicate, Selection};
use crate::snapshot::{Before, Snapshot};

/// How to scan a build root.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Threads that look at directories, at least one.
    pub threads: usize,
    /// Paths that are never captured, with everything below them. What the
    /// previous snapshot has there stays in the tree.
    pub exclude: BTreeSet<TreePath>,
    /// Whether directories that something else is mounted on count as
    /// excluded.
    pub one_file_system: bool,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            threads: 2,
            exclude: BTreeSet::new(),
            one_file_system: true,
        }
    }
}

/// Reads what is in a root now.
///
/// With a previous snapshot, whatever did not change is the previous tree's
/// node, whole directories included, so that comparing the two trees costs no
/// more than the change. An entry is unchanged if inode, type, size, mode,
/// owner, modification time and change time are; the change time cannot be set
/// by a program. Where it moved, or may have stood still through a change
/// because that fell into the tick of the previous scan, attributes and link
/// targets are read and files are hashed if nothing else tells them apart. If
/// nobody ever hashed the previous file, it counts as changed; files so young
/// that the next scan will have to compare them are therefore hashed at once.
///
/// The root's own metadata stays what it was; no layer records it.
///
/// Only names that are one inode on disk are one node in the tree. Sockets are
/// in the tree; a layer leaves them out.
///
/// # Errors
///
/// When the operating system refuses to show something.
pub fn scan(
    root: &Root,
    previous: Option<&Snapshot>,
    options: &ScanOptions,
) -> Result<Snapshot, ScanError> {
    let taken = previous.map(|previous| previous.taken);
    scan_from(root, previous.map(Before::scanned), taken, options)
}

pub(crate) fn scan_from(
    root: &Root,
    before: Option<Before>,
    stamped: Option<Timestamp>,
    options: &ScanOptions,
) -> Result<Snapshot, ScanError> {
    root.forget();
    let taken = filesystem_now(root).at("ask the filesystem's clock at", &TreePath::root())?;
    let task = Task {
        root,
        selection: Selection::AllBut(&options.exclude),
        one_file_system: options.one_file_system,
        stamped,
        taken: Some(taken),
        vanishing: true,
    };
    let top = Crew::new(task).run(before, options.threads)?;
    Ok(Snapshot {
        tree: Tree::from_root(top.node).unwrap_or_default(),
        top: top.stamp,
        stamps: top.stamps.unwrap_or_default(),
        taken,
    })
}

/// Reads a directory, such as a build context, into a tree: all but what the
/// predicate leaves out, attributes and sockets included, contents not hashed.
///
/// # Errors
///
/// When an entry that was not left out cannot be read; the error names it.
pub fn walk(
    root: &Root,
    threads: usize,
    exclude: &ExcludePredicate<'_>,
) -> Result<Tree, ScanError> {
    root.forget();
    let task = Task {
        root,
        selection: Selection::Ask(exclude),
        one_file_system: false,
        stamped: None,
        taken: None,
        vanishing: false,
    };
    let top = Crew::new(task).run(None, threads)?;
    Ok(Tree::from_root(top.node).unwrap_or_default())
}
