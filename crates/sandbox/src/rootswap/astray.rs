//! Mounts that the command moved, by renaming a directory around them.
//!
//! The kernel refuses to rename a mount point but not what leads to it. Left alone,
//! the mount would end up in the stage, where it would be taken for the command's
//! files and be removed with them.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};

use crate::error::{At as _, Fault, fault};
use crate::rootswap::swap::Swap;

impl Swap {
    /// Moves directories back that hold a mount of the container, given the present mount points.
    ///
    /// The stage cannot have what the command wanted, which [`Swap::misfit`] says. Gives whether something moved.
    pub(crate) fn return_mounts(&self, mount_points: &[PathBuf]) -> Result<bool, Fault> {
        let present = mount_points
            .iter()
            .filter_map(|path| path.strip_prefix(&self.live).ok());
        let strays: Vec<&Path> = present.filter(|path| !self.kept.covers(path)).collect();
        for place in self.kept.paths() {
            if mount_points.contains(&self.live.join(place)) {
                continue;
            }
            let ways = strays.iter().filter_map(|stray| moved(place, stray));
            if let Some((from, to)) = ways.min_by_key(|(from, _)| from.components().count()) {
                self.return_directory(from, to)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn return_directory(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let (from, to) = (self.live.join(from), self.live.join(to));
        let moved = fault("keep the container's mounts in", &to, libc::EBUSY);
        self.misfit.borrow_mut().get_or_insert(moved);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).at("make", parent)?;
        }
        let occupied = fs::symlink_metadata(&to).is_ok();
        let flags = if occupied {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NOREPLACE
        };
        rustix::fs::renameat_with(CWD, &from, CWD, &to, flags).at("move back", &from)
    }
}

/// The directories that differ, as `(now, before)`, if `stray` may be what was mounted at `place`: the ends are equal.
fn moved<'p>(place: &'p Path, stray: &'p Path) -> Option<(&'p Path, &'p Path)> {
    let (mut before, mut now) = (place, stray);
    while let (Some(one), Some(two)) = (before.file_name(), now.file_name()) {
        if one != two {
            break;
        }
        (before, now) = (before.parent()?, now.parent()?);
    }
    let differ = before != place && !before.as_os_str().is_empty() && !now.as_os_str().is_empty();
    differ.then_some((now, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_was_renamed_is_found_by_what_is_mounted_in_it() {
        for (place, stray, expected) in [
            (
                "run/secrets/t",
                "run.old/secrets/t",
                Some(("run.old", "run")),
            ),
            ("m/vol", "a/b/vol", Some(("a/b", "m"))),
            ("m/vol", "other/mount", None),
            ("m/vol", "vol", None),
        ] {
            let expected = expected.map(|(now, before)| (Path::new(now), Path::new(before)));
            assert_eq!(
                moved(Path::new(place), Path::new(stray)),
                expected,
                "{stray}"
            );
        }
    }
}
