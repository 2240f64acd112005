//! Threads that share the directories of a root between them.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use yadokari_tree::{Timestamp, TreePath};

use crate::attributes;
use crate::error::{At, DiskError, ScanError};
use crate::found::Found;
use crate::gather::gather;
use crate::links::{Deferred, settle};
use crate::listing::{Listing, ListingBuffer};
use crate::pending::{Entry, Pending};
use crate::root::Root;
use crate::selection::Selection;
use crate::snapshot::Before;

/// What to read and how.
#[derive(Clone, Copy)]
pub(crate) struct Task<'a> {
    pub(crate) root: &'a Root,
    pub(crate) selection: Selection<'a>,
    pub(crate) one_file_system: bool,
    /// When the stamps that are known were taken.
    pub(crate) stamped: Option<Timestamp>,
    /// The filesystem's time as this scan began, if stamps are kept of it.
    pub(crate) taken: Option<Timestamp>,
    /// Whether a name may be gone before it is looked at.
    pub(crate) vanishing: bool,
}

/// The threads' common knowledge.
///
/// Directories wait on a stack, so the walk goes deep first and few of them
/// are incomplete, and open, at a time.
pub(crate) struct Crew<'a> {
    pub(crate) task: Task<'a>,
    pub(crate) mount: u64,
    handles: AtomicUsize,
    shared: Mutex<Shared>,
    wake: Condvar,
}

#[derive(Default)]
struct Shared {
    directories: Vec<Arc<Pending>>,
    busy: usize,
    deferred: Vec<Deferred>,
    result: Option<Entry>,
    failure: Option<ScanError>,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(task: Task<'a>) -> Self {
        Self {
            task,
            mount: 0,
            handles: AtomicUsize::new(0),
            shared: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// Reads the whole root with that many threads.
    pub(crate) fn run(
        mut self,
        before: Option<Before>,
        threads: usize,
    ) -> Result<Entry, ScanError> {
        let top = self.top(before).at("examine", &TreePath::root())?;
        self.mount = top.found.mount;
        self.shared().directories.push(Arc::new(top));
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(|| self.work());
            }
            self.work();
        });
        self.finish()
    }

    fn top(&self, before: Option<Before>) -> io::Result<Pending> {
        let dir = self.task.root.top();
        let found = Found::of(&dir.stat_self()?);
        // The root is nobody's entry: what is known of it stays.
        let metadata = match &before {
            Some(before) => before.node.metadata().clone(),
            None => found.metadata(attributes::read(dir, b".")?),
        };
        Ok(Pending::new(None, None, before, found, metadata))
    }

    fn finish(self) -> Result<Entry, ScanError> {
        let mut shared = self.shared();
        if let Some(failure) = shared.failure.take() {
            return Err(failure);
        }
        let deferred = std::mem::take(&mut shared.deferred);
        drop(shared);
        settle(&self, deferred)?;
        let result = self.shared().result.take();
        Ok(result.expect("the root is delivered once nothing below it waits"))
    }

    fn work(&self) {
        let mut buffer = ListingBuffer::new();
        while let Some(pending) = self.next() {
            let _busy = Busy(self);
            if let Err(failure) = self.read(&pending, &mut buffer) {
                self.shared().failure.get_or_insert(failure);
            }
        }
    }

    fn next(&self) -> Option<Arc<Pending>> {
        let mut shared = self.shared();
        loop {
            if shared.failure.is_some() {
                return None;
            }
            if let Some(next) = shared.directories.pop() {
                shared.busy += 1;
                return Some(next);
            }
            if shared.busy == 0 {
                return None;
            }
            shared = self
                .wake
                .wait(shared)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read(&self, pending: &Arc<Pending>, buffer: &mut ListingBuffer) -> Result<(), ScanError> {
        let opened = pending.open(self.task.root, &self.handles);
        let dir = match opened {
            Err(error) if self.is_gone(&error) => return self.vanished(pending),
            opened => Arc::new(named(opened, "open", pending)?),
        };
        let listing = named(Listing::read(&dir, buffer), "list", pending)?;
        let found = gather(self, pending, &dir, &listing)?;
        pending.keep_open(dir, found.directories.len(), &self.handles);
        if pending.listed(found.gathered) {
            self.deliver(pending);
        }
        self.share(found.directories, found.deferred);
        Ok(())
    }

    /// Whether an error means that a name went away, which is no error while
    /// something may be at work below the root.
    pub(crate) fn is_gone(&self, error: &io::Error) -> bool {
        self.task.vanishing && error.kind() == io::ErrorKind::NotFound
    }

    fn vanished(&self, pending: &Arc<Pending>) -> Result<(), ScanError> {
        if let Some((parent, slot)) = &pending.parent
            && parent.fill(*slot, None, false)
        {
            self.deliver(parent);
        }
        Ok(())
    }

    fn share(&self, directories: Vec<Arc<Pending>>, deferred: Vec<Deferred>) {
        if directories.is_empty() && deferred.is_empty() {
            return;
        }
        let more = directories.len() > 1;
        let mut shared = self.shared();
        shared.deferred.extend(deferred);
        // The stack gives them back in order.
        shared.directories.extend(directories.into_iter().rev());
        drop(shared);
        if more {
            self.wake.notify_all();
        }
    }

    /// Hands a complete directory to the one above, and on while that makes
    /// the next one complete.
    pub(crate) fn deliver(&self, complete: &Arc<Pending>) {
        let mut complete = Arc::clone(complete);
        loop {
            let (entry, same_stamps) = complete.complete();
            let Some((parent, slot)) = complete.parent.clone() else {
                self.shared().result = entry;
                return;
            };
            if !parent.fill(slot, entry, same_stamps) {
                return;
            }
            complete = parent;
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread as busy, also while it panics.
struct Busy<'c, 'a>(&'c Crew<'a>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut shared = self.0.shared();
        shared.busy -= 1;
        let last = shared.busy == 0 || shared.failure.is_some();
        drop(shared);
        if last {
            self.0.wake.notify_all();
        }
    }
}

/// Attaches a directory's path, which is only put together for an error.
fn named<T>(
    result: io::Result<T>,
    operation: &'static str,
    pending: &Pending,
) -> Result<T, ScanError> {
    result.map_err(|error| DiskError::new(operation, &pending.path(), error).into())
}
