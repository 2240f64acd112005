//! Moves the entries of two roots: the container's aside and the stage's in.
//!
//! A directory in a lower layer of an overlay refuses to be renamed, so it is
//! entered: its entries are moved one by one, which is slow, since each is copied
//! to the upper layer. Then it is removed, and what comes back in its place lies in
//! the upper layer, so that later swaps rename it as a whole. Directories that
//! somebody works in, and those with a mount below, stay and are entered each time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::{At as _, Fault, RunError};
use crate::rootswap::attributes::Attributes;
use crate::rootswap::held::Held;
use crate::rootswap::journal::{Journal, Record};
use crate::rootswap::plan::{Disposition, Kept};

/// The places a swap works on, and what it knows so far.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) live: PathBuf,
    pub(crate) stage: PathBuf,
    /// Directory of the swap's own, on the same filesystem.
    pub(crate) area: PathBuf,
    pub(crate) kept: Kept,
    pub(crate) journal: Journal,
    /// Directories that are not made anew.
    pub(crate) held: Held,
    /// Directories of the container that are entered, with their own attributes.
    pub(super) entered: BTreeMap<PathBuf, Entered>,
    /// Whether the stage's entries may have begun to move in.
    pub(super) moved_in: bool,
    /// The first entry of the command's that could not be given to the stage.
    pub(super) misfit: RefCell<Option<Fault>>,
    #[cfg(test)]
    pub(crate) simulated: simulated::Simulated,
}

/// A directory of the container that stays in its place during the run.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) attributes: Attributes,
    /// It wears the attributes of the stage's directory, whose entries are all in it.
    pub(super) dressed: bool,
    /// The stage has a link there, to this directory of its own.
    pub(super) inverted: Option<PathBuf>,
}

/// Where a run without a directory for spares has them, in the swap's own.
pub(crate) const SPARES: &str = "ready";

impl Swap {
    /// Starts a swap; nothing moves.
    pub(crate) fn begin(
        live: &Path,
        stage: &Path,
        area: &Path,
        kept: Kept,
        helper: (i32, u64),
    ) -> Result<Self, RunError> {
        fs::create_dir_all(area.join("aside")).at("make", area)?;
        // The container's own files keep their modes there, and some commands have other users.
        fs::set_permissions(area, Permissions::from_mode(0o700)).at("shut", area)?;
        let first = Record::Begin {
            live: live.to_owned(),
            stage: stage.to_owned(),
            kept: kept.clone(),
            helper,
        };
        let journal = Journal::begin(&journal_path(area), first)?;
        Ok(Self {
            live: live.to_owned(),
            stage: stage.to_owned(),
            area: area.to_owned(),
            kept,
            journal,
            held: Held::default(),
            entered: BTreeMap::new(),
            moved_in: false,
            misfit: RefCell::new(None),
            #[cfg(test)]
            simulated: simulated::Simulated::default(),
        })
    }

    /// Takes up a swap where a killed process left it.
    pub(crate) fn resume(area: &Path, journal: Journal) -> Option<Self> {
        let Some(Record::Begin {
            live, stage, kept, ..
        }) = journal.records().first()
        else {
            return None;
        };
        let (live, stage, kept) = (live.clone(), stage.clone(), kept.clone());
        let records = journal.records().to_vec();
        let mut swap = Self {
            live,
            stage,
            area: area.to_owned(),
            kept,
            journal,
            held: Held::default(),
            entered: BTreeMap::new(),
            moved_in: false,
            misfit: RefCell::new(None),
            #[cfg(test)]
            simulated: simulated::Simulated::default(),
        };
        records.into_iter().for_each(|record| swap.learn(record));
        Some(swap)
    }

    fn learn(&mut self, record: Record) {
        match record {
            Record::Stay { path } => self.kept.add(&path),
            Record::Descend { path, attributes } => {
                self.entered.insert(
                    path,
                    Entered {
                        attributes,
                        dressed: false,
                        inverted: None,
                    },
                );
            }
            Record::Invert { path, target } => {
                if let Some(entered) = self.entered.get_mut(&path) {
                    entered.inverted = Some(target);
                }
            }
            Record::Dressed { path } => {
                if let Some(entered) = self.entered.get_mut(&path) {
                    entered.dressed = true;
                }
            }
            Record::Vacate { path } => {
                self.entered.remove(&path);
            }
            Record::In => self.moved_in = true,
            _ => {}
        }
    }

    /// Writes `record` down and remembers it.
    pub(crate) fn note(&mut self, record: Record) -> Result<(), Fault> {
        self.journal.write(record.clone())?;
        self.learn(record);
        Ok(())
    }

    /// The number of grafts that were begun.
    pub(crate) fn graft_count(&self) -> usize {
        self.journal
            .records()
            .iter()
            .filter(|record| matches!(record, Record::Graft { .. }))
            .count()
    }

    /// The first entry of the command's that could not be given to the stage, after the swap back.
    pub(crate) fn misfit(&self) -> Option<Fault> {
        self.misfit.borrow().clone()
    }

    /// Whether all of the stage's entries are in their places, so that a command may have run.
    pub(super) fn is_complete(&self) -> bool {
        let root = self.entered.get(Path::new(""));
        root.is_some_and(|root| root.dressed)
    }

    /// The container's directories that the command sees, empty, though its root does not have them. Those with a
    /// mount below are not among them.
    pub(crate) fn strangers(&self) -> Vec<PathBuf> {
        let lone = self.entered.keys().filter(|path| {
            self.kept.disposition(path) == Disposition::Move
                && !is_directory(&self.stage_path(path))
        });
        let lone: BTreeSet<&PathBuf> = lone.collect();
        let outermost = |path: &Path| {
            !path
                .ancestors()
                .skip(1)
                .any(|other| lone.contains(&other.to_owned()))
        };
        lone.iter()
            .filter(|path| outermost(path))
            .map(|path| (*path).clone())
            .collect()
    }

    /// Moves the container's entries aside and the stage's in.
    pub(crate) fn swap_in(&mut self) -> Result<(), RunError> {
        self.enter(Path::new(""))?;
        self.move_aside(Path::new(""))?;
        self.invert_links()?;
        self.note(Record::In)?;
        self.move_in(Path::new(""))
    }

    fn enter(&mut self, path: &Path) -> Result<(), Fault> {
        let attributes = Attributes::read(&self.live.join(path))?;
        self.note(Record::Descend {
            path: path.to_owned(),
            attributes,
        })?;
        make_directory(&self.aside_path(path))
    }

    fn move_aside(&mut self, directory: &Path) -> Result<(), Fault> {
        for path in children(&self.live, directory)? {
            match self.kept.disposition(&path) {
                Disposition::Stay => {}
                Disposition::Descend => self.move_children_aside(&path)?,
                Disposition::Move => self.move_one_aside(&path)?,
            }
        }
        Ok(())
    }

    fn move_children_aside(&mut self, path: &Path) -> Result<(), Fault> {
        self.enter(path)?;
        self.move_aside(path)
    }

    fn move_one_aside(&mut self, path: &Path) -> Result<(), Fault> {
        let (from, to) = (self.live.join(path), self.aside_path(path));
        match self.rename(&from, &to) {
            // A directory in a lower layer of an overlay cannot be renamed, but its children can.
            Err(error) if error.raw_os_error() == Some(libc::EXDEV) && is_directory(&from) => {
                self.move_children_aside(path)?;
                self.vacate(path)
            }
            // A mount that the table of mounts did not show.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => self.note(Record::Stay {
                path: path.to_owned(),
            }),
            result => result.at("move aside", &from),
        }
    }

    /// Removes a directory whose entries are all aside. The one that holds them there is the container's from now on.
    fn vacate(&mut self, path: &Path) -> Result<(), Fault> {
        if self.held.contains(path) || self.remove_directory(path).is_err() {
            // Something in it stays, or the filesystem needs it: it is seen by the command.
            return Ok(());
        }
        if let Some(entered) = self.entered.get(path) {
            entered.attributes.apply(&self.aside_path(path))?;
        }
        // Cut off before this, the directory is made again and filled one by one.
        self.note(Record::Vacate {
            path: path.to_owned(),
        })
    }

    fn remove_directory(&self, path: &Path) -> std::io::Result<()> {
        let live = self.live.join(path);
        #[cfg(test)]
        self.simulated.remove(&live)?;
        fs::remove_dir(live)
    }

    /// Where the stage has a link and the container a directory that must stay, the directory plays
    /// the part of the link's target, and the target is a link to it for the time of the run.
    fn invert_links(&mut self) -> Result<(), RunError> {
        let entered: Vec<PathBuf> = self
            .entered
            .keys()
            .filter(|path| !path.as_os_str().is_empty())
            .cloned()
            .collect();
        for path in entered {
            if fs::symlink_metadata(self.stage.join(&path))
                .is_ok_and(|metadata| metadata.is_symlink())
            {
                self.invert(&path)?;
            }
        }
        Ok(())
    }

    fn invert(&mut self, path: &Path) -> Result<(), RunError> {
        let target = directory::resolve(&self.stage, path)?;
        let real = self.stage.join(&target);
        let related =
            target.starts_with(path) || path.starts_with(&target) || self.kept.covers(&target);
        if related || self.entered.contains_key(&target) || !is_directory(&real) {
            return Err(RunError::Occupied {
                path: path.to_owned(),
                reason: format!(
                    "the container must keep a directory there, and the link to `/{}` cannot be turned round",
                    target.display()
                ),
            });
        }
        self.note(Record::Invert {
            path: path.to_owned(),
            target: target.clone(),
        })?;
        let place = self.inverted_path(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).at("make", parent)?;
        }
        self.rename(&real, &place).at("move", &real)?;
        let link = Path::new("/").join(path);
        Ok(std::os::unix::fs::symlink(link, &real).at("link", &real)?)
    }

    fn move_in(&mut self, directory: &Path) -> Result<(), RunError> {
        let stage = self.stage_path(directory);
        let attributes = Attributes::read(&stage)?;
        for name in names(&stage)? {
            let path = directory.join(name);
            let (from, to) = (
                self.stage_path_of_child(directory, &path),
                self.live.join(&path),
            );
            if self.entered.contains_key(&path) {
                self.move_children_in(&path)?;
            } else if fs::symlink_metadata(&to).is_err() {
                self.rename(&from, &to).at("move in", &from)?;
            }
            // What stays hides what the stage has there.
        }
        attributes.apply(&self.live.join(directory))?;
        Ok(self.note(Record::Dressed {
            path: directory.to_owned(),
        })?)
    }

    fn move_children_in(&mut self, path: &Path) -> Result<(), RunError> {
        if is_directory(&self.stage_path(path)) {
            return self.move_in(path);
        }
        Err(RunError::Occupied {
            path: path.to_owned(),
            reason: "the container must keep a directory there, and the image has a file"
                .to_owned(),
        })
    }

    /// Renames without ever replacing something.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        #[cfg(test)]
        self.simulated.rename(from)?;
        if fs::symlink_metadata(to).is_ok() {
            return Err(std::io::Error::from_raw_os_error(libc::EEXIST));
        }
        fs::rename(from, to)
    }

    /// Where the stage's own version of an entered directory lies.
    pub(super) fn stage_path(&self, path: &Path) -> PathBuf {
        let inverted = path.ancestors().find(|ancestor| {
            self.entered
                .get(*ancestor)
                .is_some_and(|entered| entered.inverted.is_some())
        });
        match inverted {
            Some(ancestor) => {
                let rest = path.strip_prefix(ancestor).unwrap_or(path);
                join(&self.inverted_path(ancestor), rest)
            }
            None => join(&self.stage, path),
        }
    }

    pub(super) fn stage_path_of_child(&self, directory: &Path, path: &Path) -> PathBuf {
        self.stage_path(directory)
            .join(path.file_name().unwrap_or_default())
    }

    pub(super) fn aside_path(&self, path: &Path) -> PathBuf {
        join(&self.area.join("aside"), path)
    }

    pub(super) fn inverted_path(&self, path: &Path) -> PathBuf {
        let flat = path
            .to_string_lossy()
            .replace('%', "%25")
            .replace('/', "%2f");
        self.area.join("inverted").join(flat)
    }
}

/// The journal of the swap that uses `area`.
pub(crate) fn journal_path(area: &Path) -> PathBuf {
    area.join("journal")
}

/// `Path::join` with an empty path would add a slash, on which the kernel follows links.
pub(super) fn join(base: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(path)
    }
}

pub(super) fn children(root: &Path, directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    Ok(names(&join(root, directory))?
        .into_iter()
        .map(|name| directory.join(name))
        .collect())
}

pub(super) fn names(path: &Path) -> Result<Vec<std::ffi::OsString>, Fault> {
    directory::names(&directory::open(path)?).at("list", path)
}

/// A real directory, not a link to one.
pub(super) fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

pub(super) fn make_directory(path: &Path) -> Result<(), Fault> {
    if is_directory(path) {
        Ok(())
    } else {
        fs::create_dir(path).at("make", path)
    }
}

pub(super) fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

#[cfg(test)]
pub(crate) mod simulated;
