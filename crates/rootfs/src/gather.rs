//! One directory on disk beside what was known of it.

use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use yadokari_tree::{Name, Node};

use crate::compare::{Candidate, directory_metadata, hash_young, is_untouched, read};
use crate::crew::Crew;
use crate::directory::Dir;
use crate::error::{DiskError, ScanError};
use crate::found::Found;
use crate::links::Deferred;
use crate::listing::Listing;
use crate::pending::{Entry, Gathered, Pending, Slot};
use crate::selection::{Chosen, Exclude};
use crate::snapshot::{Known, Stamp};

/// What looking through one directory came to.
pub(crate) struct Findings {
    pub(crate) gathered: Gathered,
    pub(crate) directories: Vec<Arc<Pending>>,
    pub(crate) deferred: Vec<Deferred>,
}

/// Looks at every name of a directory once.
pub(crate) fn gather(
    crew: &Crew<'_>,
    pending: &Arc<Pending>,
    dir: &Dir,
    listing: &Listing,
) -> Result<Findings, ScanError> {
    let known = pending.before.iter().flat_map(|before| before.children());
    let mut gathering = Gathering {
        crew,
        pending,
        dir,
        chosen: crew.task.selection.within(|| pending.path()),
        known: known.peekable(),
        findings: Findings {
            gathered: Gathered {
                slots: Vec::with_capacity(listing.len()),
                ..Gathered::default()
            },
            directories: Vec::new(),
            deferred: Vec::new(),
        },
    };
    for (name, _) in listing.iter() {
        gathering.name(name)?;
    }
    while let Some((name, known)) = gathering.known.next() {
        gathering.absent(name, &known);
    }
    Ok(gathering.findings)
}

struct Gathering<'g, 'c, K: Iterator> {
    crew: &'g Crew<'c>,
    pending: &'g Arc<Pending>,
    dir: &'g Dir,
    chosen: Chosen<'c>,
    known: Peekable<K>,
    findings: Findings,
}

impl<'g, K: Iterator<Item = (&'g Name, Known<'g>)>> Gathering<'g, '_, K> {
    fn name(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        while let Some((name, known)) = self.known.next_if(|(name, _)| name.as_bytes() < bytes) {
            self.absent(name, &known);
        }
        let (name, known) = match self.known.next_if(|(name, _)| name.as_bytes() == bytes) {
            Some((name, known)) => (name.clone(), Some(known)),
            None => (self.new_name(bytes)?, None),
        };
        match self.dir.stat(&name) {
            Ok(stat) => self.found(name, known, Found::of(&stat)),
            Err(error) if self.crew.is_gone(&error) => {
                if let Some(known) = known {
                    self.absent(&name, &known);
                }
                Ok(())
            }
            Err(error) => Err(self.failed(error, "examine", &name)),
        }
    }

    fn found(
        &mut self,
        name: Name,
        known: Option<Known<'_>>,
        found: Found,
    ) -> Result<(), ScanError> {
        let decision = if self.is_elsewhere(&found) {
            Exclude::Skip
        } else {
            self.chosen.decide(&name, found.is_directory())
        };
        match decision {
            Exclude::Keep if found.is_directory() => self.directory(name, known, found, false),
            Exclude::Keep => self.leaf(name, known, found),
            Exclude::SkipButDescend if found.is_directory() => {
                self.directory(name, known, found, true)
            }
            Exclude::SkipButDescend | Exclude::Skip => {
                self.keep(&name, known);
                Ok(())
            }
        }
    }

    /// Whether something is mounted here.
    fn is_elsewhere(&self, found: &Found) -> bool {
        self.crew.task.one_file_system && found.mount != self.crew.mount
    }

    fn directory(
        &mut self,
        name: Name,
        known: Option<Known<'_>>,
        found: Found,
        optional: bool,
    ) -> Result<(), ScanError> {
        let stamped = self.crew.task.stamped;
        let metadata = directory_metadata(self.dir, &name, &found, known.as_ref(), stamped);
        let metadata = metadata.map_err(|error| self.failed(error, "examine", &name))?;
        let slot = self.waiting(name.clone());
        let parent = Some((Arc::clone(self.pending), slot));
        let before = known.map(Known::to_before);
        let mut child = Pending::new(parent, Some(name), before, found, metadata);
        child.optional = optional;
        self.findings.directories.push(Arc::new(child));
        Ok(())
    }

    fn leaf(
        &mut self,
        name: Name,
        known: Option<Known<'_>>,
        found: Found,
    ) -> Result<(), ScanError> {
        let stamped = self.crew.task.stamped;
        if let Some(known) = known.filter(|known| is_untouched(known, &found, stamped)) {
            self.findings.gathered.restamped |= known.stamp != Some(found.stamp);
            self.hash_young(&name, &found, known.node)?;
            self.push(name, known.node.clone(), found.stamp);
            return Ok(());
        }
        if found.is_linked() {
            self.defer(name, known, found);
            return Ok(());
        }
        let candidate = known.map(|known| Candidate {
            node: known.node,
            stamp: known.stamp,
        });
        let node = match read(self.dir, &name, &found, candidate.as_slice()) {
            Err(error) if self.crew.is_gone(&error) => {
                self.findings.gathered.changed |= known.is_some();
                return Ok(());
            }
            node => node.map_err(|error| self.failed(error, "read", &name))?,
        };
        self.hash_young(&name, &found, &node)?;
        let same = known.is_some_and(|known| known.node.same(&node));
        self.findings.gathered.changed |= !same;
        self.findings.gathered.restamped = true;
        self.push(name, node, found.stamp);
        Ok(())
    }

    fn hash_young(&self, name: &Name, found: &Found, node: &Node) -> Result<(), ScanError> {
        hash_young(self.dir, name, found, node, self.crew.task.taken)
            .map_err(|error| self.failed(error, "read", name))
    }

    fn defer(&mut self, name: Name, known: Option<Known<'_>>, found: Found) {
        let slot = self.waiting(name.clone());
        self.findings.deferred.push(Deferred {
            directory: Arc::clone(self.pending),
            slot,
            name,
            found,
            known: known.map(|known| (known.node.clone(), known.stamp)),
        });
    }

    /// A known name that is not on disk.
    fn absent(&mut self, name: &Name, known: &Known<'_>) {
        match self.chosen.decide(name, known.node.is_directory()) {
            Exclude::Keep => self.findings.gathered.changed = true,
            Exclude::Skip | Exclude::SkipButDescend => self.keep(name, Some(*known)),
        }
    }

    /// Leaves an excluded name as it was.
    fn keep(&mut self, name: &Name, known: Option<Known<'_>>) {
        let Some(known) = known else {
            return;
        };
        self.findings.gathered.slots.push(Slot {
            name: name.clone(),
            entry: Some(Entry {
                node: known.node.clone(),
                stamp: known.stamp.unwrap_or(Stamp::NONE),
                stamps: known.stamps.cloned(),
            }),
        });
    }

    fn push(&mut self, name: Name, node: Node, stamp: Stamp) {
        let entry = Some(Entry {
            node,
            stamp,
            stamps: None,
        });
        self.findings.gathered.slots.push(Slot { name, entry });
    }

    fn waiting(&mut self, name: Name) -> usize {
        let gathered = &mut self.findings.gathered;
        gathered.slots.push(Slot { name, entry: None });
        gathered.waiting += 1;
        gathered.slots.len() - 1
    }

    fn new_name(&self, bytes: &[u8]) -> Result<Name, ScanError> {
        Name::new(bytes).map_err(|_| ScanError::Name {
            directory: self.pending.path(),
            name: bytes.escape_ascii().to_string(),
        })
    }

    fn failed(&self, error: io::Error, operation: &'static str, name: &Name) -> ScanError {
        DiskError::new(operation, &self.pending.path().join(name), error).into()
    }
}
