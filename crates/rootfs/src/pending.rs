//! Directories on their way from names on disk to nodes of a tree.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use yadokari_tree::{Metadata, Name, Node, TreePath};

use crate::directory::Dir;
use crate::found::Found;
use crate::root::Root;
use crate::snapshot::{Before, Stamp, Stamps};

/// A directory that was met and is not complete yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) parent: Option<(Arc<Self>, usize)>,
    pub(crate) name: Option<Name>,
    pub(crate) before: Option<Before>,
    pub(crate) found: Found,
    pub(crate) metadata: Metadata,
    /// Whether the directory counts only if something in it does.
    pub(crate) optional: bool,
    gathered: Mutex<Gathered>,
    handle: Mutex<Option<Arc<Dir>>>,
    unopened: AtomicUsize,
}

/// What is known about the entries so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) slots: Vec<Slot>,
    /// Slots whose node is not known yet.
    pub(crate) waiting: usize,
    /// Whether any name came, went or has another node than before.
    pub(crate) changed: bool,
    /// Whether any stamp differs from before.
    pub(crate) restamped: bool,
}

/// One name of the directory.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: Name,
    pub(crate) entry: Option<Entry>,
}

/// A finished entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) stamp: Stamp,
    /// Of a directory.
    pub(crate) stamps: Option<Arc<Stamps>>,
}

impl Pending {
    pub(crate) fn new(
        parent: Option<(Arc<Self>, usize)>,
        name: Option<Name>,
        before: Option<Before>,
        found: Found,
        metadata: Metadata,
    ) -> Self {
        Self {
            parent,
            name,
            before: before.filter(|before| before.node.is_directory()),
            found,
            metadata,
            optional: false,
            gathered: Mutex::default(),
            handle: Mutex::new(None),
            unopened: AtomicUsize::new(0),
        }
    }

    pub(crate) fn path(&self) -> TreePath {
        let mut names = Vec::new();
        let mut above = Some(self);
        while let Some(pending) = above {
            names.extend(&pending.name);
            above = pending.parent.as_ref().map(|(parent, _)| &**parent);
        }
        let mut path = TreePath::root();
        names.iter().rev().for_each(|name| path.push(name));
        path
    }

    /// Opens the directory for listing, through its parent's handle where that
    /// is still open.
    pub(crate) fn open(&self, root: &Root, handles: &AtomicUsize) -> io::Result<Dir> {
        let (Some((parent, _)), Some(name)) = (&self.parent, &self.name) else {
            return root.top().listable();
        };
        let through = parent.handle().clone();
        let opened = match through {
            Some(dir) => dir.listable_child(name),
            None => root.dir(&self.path()).and_then(|dir| dir.listable()),
        };
        if parent.unopened.fetch_sub(1, Ordering::AcqRel) == 1 && parent.handle().take().is_some() {
            handles.fetch_sub(1, Ordering::Relaxed);
        }
        opened
    }

    /// Keeps the directory open for its subdirectories, if not too many are.
    pub(crate) fn keep_open(&self, dir: Arc<Dir>, subdirectories: usize, handles: &AtomicUsize) {
        self.unopened.store(subdirectories, Ordering::Release);
        if subdirectories == 0 {
            return;
        }
        if handles.fetch_add(1, Ordering::Relaxed) < MAX_HANDLES {
            *self.handle() = Some(dir);
        } else {
            handles.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn handle(&self) -> MutexGuard<'_, Option<Arc<Dir>>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the result of listing. Says whether the directory is complete.
    pub(crate) fn listed(&self, gathered: Gathered) -> bool {
        let complete = gathered.waiting == 0;
        *self.gathered() = gathered;
        complete
    }

    /// Fills a slot that was waiting; `same_stamps` if all its stamps are the
    /// ones from before. Says whether the directory is complete.
    pub(crate) fn fill(&self, slot: usize, entry: Option<Entry>, same_stamps: bool) -> bool {
        let mut gathered = self.gathered();
        let before = self
            .before
            .as_ref()
            .and_then(|before| before.node.children());
        let name = &gathered.slots[slot].name;
        let changed = match (&entry, before.and_then(|children| children.get(name))) {
            (Some(entry), Some(known)) => !entry.node.same(known),
            (None, None) => false,
            _ => true,
        };
        gathered.changed |= changed;
        gathered.restamped |= !same_stamps;
        gathered.slots[slot].entry = entry;
        gathered.waiting -= 1;
        gathered.waiting == 0
    }

    /// The finished directory, and whether its stamps are the ones from before.
    pub(crate) fn complete(&self) -> (Option<Entry>, bool) {
        let gathered = std::mem::take(&mut *self.gathered());
        let slots: Vec<_> = gathered
            .slots
            .into_iter()
            .filter_map(Slot::filled)
            .collect();
        if self.optional && slots.is_empty() {
            return (None, false);
        }
        let before = self.before.as_ref().filter(|_| !gathered.changed);
        let same_entries = before.and_then(|before| before.stamps.as_ref());
        let stamps = match same_entries.filter(|_| !gathered.restamped) {
            Some(stamps) => Arc::clone(stamps),
            None => Arc::new(stamps_of(&slots)),
        };
        let same = same_entries.is_some_and(|before| Arc::ptr_eq(before, &stamps))
            && self.before.as_ref().and_then(|before| before.stamp) == Some(self.found.stamp);
        let unchanged = before.filter(|before| *before.node.metadata() == self.metadata);
        let node = match unchanged {
            Some(before) => before.node.clone(),
            None => directory(self.metadata.clone(), slots),
        };
        let entry = Entry {
            node,
            stamp: self.found.stamp,
            stamps: Some(stamps),
        };
        (Some(entry), same)
    }
}

impl Slot {
    fn filled(self) -> Option<(Name, Entry)> {
        self.entry.map(|entry| (self.name, entry))
    }
}

fn stamps_of(slots: &[(Name, Entry)]) -> Stamps {
    Stamps {
        entries: slots.iter().map(|(_, entry)| entry.stamp).collect(),
        directories: slots
            .iter()
            .filter(|(_, entry)| entry.node.is_directory())
            .map(|(_, entry)| entry.stamps.clone().unwrap_or_default())
            .collect(),
    }
}

fn directory(metadata: Metadata, slots: Vec<(Name, Entry)>) -> Node {
    let children = slots.into_iter().map(|(name, entry)| (name, entry.node));
    Node::directory(metadata, children.collect())
}

// Well below the usual limit of 1024 open files.
const MAX_HANDLES: usize = 256;
