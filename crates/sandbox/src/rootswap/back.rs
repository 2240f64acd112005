//! The way back: what the command left goes to the stage, the container's own comes back.
//!
//! This looks at what is there and not at what was done, so it works from any
//! point at which a swap was cut off, and may be repeated.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{At as _, Fault};
use crate::rootswap::attributes::Attributes;
use crate::rootswap::swap::{
    Entered, SPARES, Swap, children, ignore_missing, is_directory, join, make_directory, names,
};

impl Swap {
    /// Moves everything back from wherever it is. No process may use the roots any more.
    ///
    /// An entry of the command's that cannot be given to the stage does not keep the container's own
    /// from coming back: it is dropped, and [`Swap::misfit`] says so.
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
            ("misfits", true),
            ("tmpfs", true),
            ("generated", true),
            (SPARES, true),
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
        let left = Attributes::read(&join(&self.live, directory))?;
        for path in children(&self.live, directory)? {
            if self.kept.covers(&path) {
                continue;
            }
            if self.entered.contains_key(&path) && is_directory(&self.live.join(&path)) {
                self.move_out(&path)?;
            } else if let Err(fault) = self.move_one_out(directory, &path) {
                self.set_apart(&self.live.join(&path), fault)?;
            }
        }
        let ended = self.drop_removed(directory);
        let ended = ended.and_then(|()| self.dress_stage(directory, &left));
        ended.or_else(|fault| {
            self.misfit.borrow_mut().get_or_insert(fault);
            Ok(())
        })
    }

    fn move_one_out(&self, directory: &Path, path: &Path) -> Result<(), Fault> {
        self.make_stage_directory(directory)?;
        self.drop_husk(path)?;
        let (from, to) = (
            self.live.join(path),
            self.stage_path_of_child(directory, path),
        );
        self.rename(&from, &to).at("move out", &from)
    }

    /// Gets something out of the container's way for which the stage has no place.
    fn set_apart(&self, from: &Path, fault: Fault) -> Result<(), Fault> {
        let misfits = self.area.join("misfits");
        fs::create_dir_all(&misfits).at("make", &misfits)?;
        let free = (0..).map(|number: u32| misfits.join(number.to_string()));
        let mut free = free.skip_while(|place| fs::symlink_metadata(place).is_ok());
        let place = free.next().unwrap_or_else(|| misfits.clone());
        // What was tried first says more than that this failed as well.
        let moved = self.rename(from, &place);
        self.misfit
            .borrow_mut()
            .get_or_insert_with(|| fault.clone());
        moved.map_err(|_| fault)
    }

    /// Gives the stage's directory the attributes that the command left.
    fn dress_stage(&self, directory: &Path, left: &Attributes) -> Result<(), Fault> {
        let Some(entered) = self.entered.get(directory) else {
            return Ok(());
        };
        if !(entered.dressed || self.is_complete()) {
            return Ok(());
        }
        let stage = self.stage_path(directory);
        // A directory of the container that the image lacks becomes the image's when the command works on it.
        if !is_directory(&stage) && left.same_access(&entered.attributes) {
            return Ok(());
        }
        self.make_stage_directory(directory)?;
        left.apply(&stage)
    }

    /// A directory of the container that the command used, and that the stage lacks, is the stage's now.
    fn make_stage_directory(&self, directory: &Path) -> Result<(), Fault> {
        let path = self.stage_path(directory);
        if is_directory(&path) {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_stage_directory(parent)?;
        }
        make_directory(&path)
    }

    /// Removes from the stage the entered directories that the command removed.
    fn drop_removed(&self, directory: &Path) -> Result<(), Fault> {
        let inside = self.entered_below(directory);
        for (path, _) in inside.filter(|(path, _)| path.parent() == Some(directory)) {
            if fs::symlink_metadata(self.live.join(path)).is_err() {
                self.drop_husk(path)?;
            }
        }
        Ok(())
    }

    /// Removes what is left in the stage of an entered directory: itself and those in it that were entered as
    /// well, the innermost first. Everything else in them had moved in and is the command's affair.
    fn drop_husk(&self, path: &Path) -> Result<(), Fault> {
        let all: Vec<_> = self.entered_below(path).collect();
        for (path, entered) in all.into_iter().rev() {
            let stage = self.stage_path(path);
            if !entered.dressed || !is_directory(&stage) {
                continue;
            }
            if entered.inverted.is_some() {
                // The link that the directory stood for goes with it, and first: the directory tells that it is there.
                let parent = path.parent().unwrap_or(Path::new(""));
                let link = self.stage_path_of_child(parent, path);
                fs::remove_file(&link)
                    .or_else(ignore_missing)
                    .at("remove", &link)?;
            }
            fs::remove_dir(&stage).at("remove", &stage)?;
        }
        Ok(())
    }

    /// Puts directories that stood for a link to them back to their own places.
    fn revert_links(&self) -> Result<(), Fault> {
        for (path, entered) in &self.entered {
            let Some(target) = &entered.inverted else {
                continue;
            };
            let place = self.inverted_path(path);
            if !is_directory(&place) {
                continue;
            }
            if let Err(fault) = self.revert_one(path, &place, target) {
                self.set_apart(&place, fault)?;
            }
        }
        Ok(())
    }

    fn revert_one(&self, path: &Path, place: &Path, target: &Path) -> Result<(), Fault> {
        let real = self.stage.join(target);
        let ours = fs::read_link(&real).is_ok_and(|link| link == Path::new("/").join(path));
        if !ours {
            return self.keep_in_place_of_link(path, place);
        }
        fs::remove_file(&real).at("remove", &real)?;
        self.rename(place, &real).at("put back", &real)
    }

    /// The command removed the way to the directory's own place, so the place of the link is its own now.
    fn keep_in_place_of_link(&self, path: &Path, place: &Path) -> Result<(), Fault> {
        let link = self.stage.join(path);
        if fs::symlink_metadata(&link).is_ok_and(|metadata| metadata.is_symlink()) {
            fs::remove_file(&link).at("remove", &link)?;
        }
        self.rename(place, &link).at("put back", &link)
    }

    /// Moves the container's entries back, and gives its directories their own attributes.
    fn move_back(&self, directory: &Path) -> Result<(), Fault> {
        let aside = self.aside_path(directory);
        let unfinished = is_directory(&aside);
        if unfinished {
            for name in names(&aside)? {
                self.move_one_back(&directory.join(name))?;
            }
        }
        if let Some(entered) = self.entered.get(directory) {
            entered.attributes.apply(&join(&self.live, directory))?;
        }
        if unfinished {
            // The last step: without this directory nobody would come here again.
            fs::remove_dir(&aside).at("remove", &aside)?;
        }
        Ok(())
    }

    fn move_one_back(&self, path: &Path) -> Result<(), Fault> {
        let (from, to) = (self.aside_path(path), self.live.join(path));
        if self.entered.contains_key(path) {
            make_directory(&to)?;
            return self.move_back(path);
        }
        self.rename(&from, &to).at("move back", &from)
    }

    /// The entered directories at and below `path`, parents first.
    fn entered_below(&self, path: &Path) -> impl DoubleEndedIterator<Item = (&PathBuf, &Entered)> {
        let from = self.entered.range(path.to_owned()..);
        let path = path.to_owned();
        let below: Vec<_> = from
            .take_while(|(other, _)| other.starts_with(&path))
            .collect();
        below.into_iter()
    }
}
