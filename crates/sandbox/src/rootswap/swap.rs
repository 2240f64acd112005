//! Moves the entries of two roots: the container's aside, the stage's in, and all back.
//!
//! Going back looks at what is there and not at what was done, so it works from
//! any point at which a swap was cut off, and may be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::{At as _, Fault, RunError};
use crate::rootswap::attributes::Attributes;
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
    /// Directories of the container that are entered, with their own attributes.
    entered: BTreeMap<PathBuf, Entered>,
    /// Whether the stage's entries may have begun to move in.
    moved_in: bool,
    /// Renames that may still be done, for tests that cut a swap off.
    #[cfg(test)]
    allowed: std::cell::Cell<Option<usize>>,
}

#[derive(Debug)]
struct Entered {
    attributes: Attributes,
    dressed: bool,
    inverted: Option<PathBuf>,
}

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
            entered: BTreeMap::new(),
            moved_in: false,
            #[cfg(test)]
            allowed: std::cell::Cell::new(None),
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
            entered: BTreeMap::new(),
            moved_in: false,
            #[cfg(test)]
            allowed: std::cell::Cell::new(None),
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

    /// The container's directories that are entered and that the stage does not have, and that hold nothing that stays.
    pub(crate) fn strangers(&self) -> Vec<PathBuf> {
        let lone = self.entered.keys().filter(|path| {
            self.kept.disposition(path) == Disposition::Move && !self.stage_path(path).is_dir()
        });
        let lone: Vec<PathBuf> = lone.cloned().collect();
        lone.iter()
            .filter(|path| {
                path.parent()
                    .is_none_or(|parent| !lone.iter().any(|other| other == parent))
            })
            .cloned()
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
                self.move_children_aside(path)
            }
            // A mount that the table of mounts did not show.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => self.note(Record::Stay {
                path: path.to_owned(),
            }),
            result => result.at("move aside", &from),
        }
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

    /// Moves everything back from wherever it is. No process may use the roots any more.
    pub(crate) fn swap_back(&mut self) -> Result<(), Fault> {
        if !self.journal.is_back() {
            if self.moved_in {
                self.move_out(Path::new(""))?;
            }
            self.revert_links()?;
            self.journal.turn_back()?;
        }
        self.move_back(Path::new(""))?;
        self.clean_up()
    }

    /// Removes the swap's own directories. What is not empty by now holds something that would be lost.
    fn clean_up(&self) -> Result<(), Fault> {
        for (name, disposable) in [
            ("inverted", false),
            ("covered", false),
            ("tmpfs", true),
            ("generated", true),
            ("ready", true),
        ] {
            let path = self.area.join(name);
            let removed = if disposable {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_dir(&path)
            };
            removed.or_else(ignore_missing).at("remove", &path)?;
        }
        Ok(())
    }

    /// Moves what is in the live directory to the stage, and gives the stage the attributes that the command left.
    fn move_out(&self, directory: &Path) -> Result<(), Fault> {
        let left = Attributes::read(&self.live.join(directory))?;
        for path in children(&self.live, directory)? {
            if self.kept.covers(&path) {
                continue;
            }
            if self.entered.contains_key(&path) && is_directory(&self.live.join(&path)) {
                self.move_out(&path)?;
            } else {
                self.move_one_out(directory, &path, &left)?;
            }
        }
        self.drop_removed(directory)?;
        let stage = self.stage_path(directory);
        let dressed = self
            .entered
            .get(directory)
            .is_some_and(|entered| entered.dressed);
        if dressed && is_directory(&stage) {
            left.apply(&stage)
        } else {
            Ok(())
        }
    }

    fn move_one_out(&self, directory: &Path, path: &Path, left: &Attributes) -> Result<(), Fault> {
        self.make_stage_directory(directory, left)?;
        let (from, to) = (
            self.live.join(path),
            self.stage_path_of_child(directory, path),
        );
        if is_directory(&to) {
            // What was in it moved in and is gone, or was moved elsewhere by the command.
            fs::remove_dir(&to).at("replace", &to)?;
        }
        self.rename(&from, &to).at("move out", &from)
    }

    /// A directory of the container that the command used, and that the stage lacks, is the stage's now.
    fn make_stage_directory(&self, directory: &Path, left: &Attributes) -> Result<(), Fault> {
        let path = self.stage_path(directory);
        if is_directory(&path) {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_stage_directory(parent, &Attributes::read(&join(&self.live, parent))?)?;
        }
        make_directory(&path)?;
        left.apply(&path)
    }

    /// Removes from the stage the entered directories that the command removed.
    fn drop_removed(&self, directory: &Path) -> Result<(), Fault> {
        let inside = self
            .entered
            .iter()
            .filter(|(path, _)| path.parent() == Some(directory));
        for (path, entered) in inside {
            let stage = self.stage_path(path);
            let gone = fs::symlink_metadata(self.live.join(path)).is_err();
            if gone && entered.dressed && is_directory(&stage) {
                fs::remove_dir(&stage).at("remove", &stage)?;
            }
        }
        Ok(())
    }

    fn revert_links(&self) -> Result<(), Fault> {
        for (path, entered) in &self.entered {
            let Some(target) = &entered.inverted else {
                continue;
            };
            let (place, real) = (self.inverted_path(path), self.stage.join(target));
            if !is_directory(&place) {
                continue;
            }
            let ours = fs::read_link(&real).is_ok_and(|link| link == Path::new("/").join(path));
            if ours {
                fs::remove_file(&real).at("remove", &real)?;
            }
            self.rename(&place, &real).at("put back", &real)?;
        }
        Ok(())
    }

    /// Moves the container's entries back, and gives its directories their own attributes.
    fn move_back(&self, directory: &Path) -> Result<(), Fault> {
        let aside = self.aside_path(directory);
        if is_directory(&aside) {
            for name in names(&aside)? {
                self.move_one_back(&directory.join(name))?;
            }
            fs::remove_dir(&aside).at("remove", &aside)?;
        }
        match self.entered.get(directory) {
            Some(entered) => entered.attributes.apply(&self.live.join(directory)),
            None => Ok(()),
        }
    }

    fn move_one_back(&self, path: &Path) -> Result<(), Fault> {
        let (from, to) = (self.aside_path(path), self.live.join(path));
        if self.entered.contains_key(path) {
            make_directory(&to)?;
            return self.move_back(path);
        }
        self.rename(&from, &to).at("move back", &from)
    }

    /// Renames without ever replacing something.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        #[cfg(test)]
        self.count_down()?;
        if fs::symlink_metadata(to).is_ok() {
            return Err(std::io::Error::from_raw_os_error(libc::EEXIST));
        }
        fs::rename(from, to)
    }

    /// Makes the rename after `renames` more fail.
    #[cfg(test)]
    pub(crate) fn stop_after(&self, renames: usize) {
        self.allowed.set(Some(renames));
    }

    #[cfg(test)]
    fn count_down(&self) -> std::io::Result<()> {
        match self.allowed.get() {
            Some(0) => Err(std::io::Error::from_raw_os_error(libc::EIO)),
            Some(left) => {
                self.allowed.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Where the stage's own version of an entered directory lies.
    fn stage_path(&self, path: &Path) -> PathBuf {
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

    fn stage_path_of_child(&self, directory: &Path, path: &Path) -> PathBuf {
        self.stage_path(directory)
            .join(path.file_name().unwrap_or_default())
    }

    fn aside_path(&self, path: &Path) -> PathBuf {
        join(&self.area.join("aside"), path)
    }

    fn inverted_path(&self, path: &Path) -> PathBuf {
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
fn join(base: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(path)
    }
}

fn children(root: &Path, directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    Ok(names(&join(root, directory))?
        .into_iter()
        .map(|name| directory.join(name))
        .collect())
}

fn names(path: &Path) -> Result<Vec<std::ffi::OsString>, Fault> {
    directory::names(&directory::open(path)?).at("list", path)
}

/// A real directory, not a link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn make_directory(path: &Path) -> Result<(), Fault> {
    if is_directory(path) {
        Ok(())
    } else {
        fs::create_dir(path).at("make", path)
    }
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}
