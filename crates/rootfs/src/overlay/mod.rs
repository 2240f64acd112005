//! Finding a change in the upper directory of an overlay mount, and taking it
//! over into the root below.

mod collect;
mod marks;
mod merge;
mod survey;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use yadokari_tree::{Tree, TreePath};

use crate::attributes;
use crate::describe::itself;
use crate::error::{At, DiskError, ScanError, UnpackError};
use crate::found::Found;
use crate::root::Root;

use survey::Survey;

/// Where the kernel keeps its marks on what an overlay mount wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayMarks {
    /// In `trusted.overlay.*`, as a mount of the machine's root does.
    Trusted,
    /// In `user.overlay.*`, as a mount with `userxattr` does.
    User,
}

/// The upper and work directories of an overlay over a root, beside it and on
/// its filesystem.
///
/// Whoever mounts the overlay turns off what lets an entry stand for data that
/// lies elsewhere: `redirect_dir`, `metacopy` and `index`. When it is not
/// mounted any more, [`OverlayUpper::collect`] finds the change, and
/// [`OverlayUpper::merge`] brings the root to it. Both look at the upper
/// directory alone, so they cost what the change does.
///
/// A file of the root that gets another content or owner through one of
/// several names is that name's alone afterwards: overlays part hard links.
#[derive(Debug)]
pub struct OverlayUpper {
    upper: Root,
    work: PathBuf,
    marks: OverlayMarks,
    /// What the last look at the upper directory found.
    survey: Mutex<Option<Survey>>,
}

impl OverlayUpper {
    /// Makes both directories, empty; the upper one is described as the root
    /// is, since it will be seen in its place. What an earlier run left under
    /// the same names goes.
    ///
    /// # Errors
    ///
    /// When the operating system refuses something.
    pub fn create(root: &Root, marks: OverlayMarks) -> Result<Self, UnpackError> {
        let top = TreePath::root();
        let made = |suffix| empty(&beside(root.path(), suffix));
        let upper = made("upper").at("make an upper directory for", &top)?;
        let work = made("work").at("make a work directory for", &top)?;
        let stat = root.top().stat_self().at("examine", &top)?;
        let xattrs = attributes::read(root.top(), b".").at("examine", &top)?;
        itself(upper.top(), &top).describe(&Found::of(&stat).metadata(xattrs))?;
        let work = work.path().to_path_buf();
        Ok(Self {
            upper,
            work,
            marks,
            survey: Mutex::default(),
        })
    }

    /// Where the upper directory is.
    pub fn upper(&self) -> &Path {
        self.upper.path()
    }

    /// Where the work directory is.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The tree of `root` and of what is in the upper directory over it;
    /// `before` is that of the root alone.
    ///
    /// Whatever did not change is the node it was, and whether it did is found
    /// out as a scan does. Excluded paths stay as they were in `before`, with
    /// everything below them, and so does the metadata of `/`.
    ///
    /// # Errors
    ///
    /// [`ScanError::OverlayMark`] if an entry is only a reference to data
    /// elsewhere; else when the operating system refuses to show something.
    pub fn collect(
        &self,
        root: &Root,
        before: &Tree,
        exclude: &BTreeSet<TreePath>,
    ) -> Result<Tree, ScanError> {
        let collected = collect::collect(&self.upper, root, before, self.marks, exclude);
        let (tree, survey) = collected?;
        *self.survey.lock().unwrap_or_else(PoisonError::into_inner) = Some(survey);
        Ok(tree)
    }

    /// Moves everything from the upper directory into the root, removes from it
    /// what the overlay hides, and deletes both directories. The root is then
    /// what the mount showed. Where it lies over another, that one stays as it
    /// is, and what the overlay hides is hidden.
    ///
    /// Costs one move for each new or changed entry of an old directory: new
    /// directories move whole. Nothing may have been written since
    /// [`OverlayUpper::collect`], if that was called.
    ///
    /// # Errors
    ///
    /// When the operating system refuses something; the root is then between
    /// the two states.
    pub fn merge(mut self, root: &Root) -> Result<(), UnpackError> {
        let survey = self
            .survey
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        merge::merge(&self.upper, root, self.marks, survey.take())?;
        Ok(self
            .discard()
            .at("delete the upper directory of", &TreePath::root())?)
    }

    /// Deletes both directories.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn discard(self) -> io::Result<()> {
        self.upper.destroy()?;
        Root::open(self.work)?.destroy()
    }
}

/// `root`, and something after a dash.
fn beside(root: &Path, suffix: &str) -> PathBuf {
    let mut name = root.as_os_str().to_owned();
    name.push("-");
    name.push(suffix);
    name.into()
}

fn empty(path: &Path) -> io::Result<Root> {
    let root = Root::create(path)?;
    root.remove_all(&TreePath::root())?;
    Ok(root)
}

fn read_error(path: &TreePath) -> impl FnOnce(io::Error) -> DiskError {
    |source| DiskError::new("examine", path, source)
}
