//! What of the container stays in sight during a swap, and may not be used.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{At as _, Fault};
use crate::rootswap::lent::OF_RUNTIMES;
use crate::rootswap::swap::{Swap, is_directory};
use crate::spec::{RunSpec, User};

/// The paths a command may not use: the state directory, which holds the container's own files meanwhile, what its
/// spec names, and the container's volumes.
///
/// A volume in a directory that the image has too, such as one certificate among others in `/etc`, stays usable, and
/// so does one in place of such a directory.
pub(super) fn hidden_paths(spec: &RunSpec, swap: &Swap, state_dir: &Path) -> Vec<PathBuf> {
    let live = &swap.live;
    let named = spec
        .hidden
        .iter()
        .filter_map(|path| path.strip_prefix(live).ok());
    let in_sight = named.flat_map(|path| swap.kept.in_sight(path));
    let volumes = swap
        .kept
        .paths()
        .filter(|path| is_volume(path) && is_apart(swap, path))
        .map(Path::to_owned);
    let mut hidden: Vec<PathBuf> = in_sight
        .chain(volumes)
        .map(|path| live.join(path))
        .collect();
    hidden.push(state_dir.to_owned());
    hidden.sort();
    hidden.dedup();
    hidden
}

/// Whether something that stays is neither the kernel's nor one of the files that runtimes give to every container.
fn is_volume(path: &Path) -> bool {
    !["proc", "sys", "dev"]
        .iter()
        .any(|own| path.starts_with(own))
        && !OF_RUNTIMES.iter().any(|own| path == Path::new(own))
}

/// Whether the image has nothing to do with a path. Where it has a directory like `/tmp`, its commands use it.
fn is_apart(swap: &Swap, path: &Path) -> bool {
    if fs::symlink_metadata(swap.stage_path(path)).is_ok() {
        return false;
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    parent.as_os_str().is_empty() || !is_directory(&swap.stage_path(parent))
}

/// Why a command is not kept apart from what is outside, and from what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) reason: String,
    /// Whether it can also look into other processes and signal them.
    pub(super) processes: bool,
}

impl Gap {
    /// Says what lies open because of it: what `user` can read of what is hidden, and the processes of the same user.
    pub(super) fn told(self, user: &User, exposed: &[PathBuf]) -> String {
        let mut open = Vec::new();
        if !exposed.is_empty() {
            let names = exposed.iter().map(|path| path.display().to_string());
            let names = names.collect::<Vec<_>>().join(", ");
            let what = if user.is_root() {
                "read and change"
            } else {
                "read"
            };
            open.push(format!("{what} {names}"));
        }
        if self.processes && user.is_root() {
            open.push(
                "signal the container's other processes and read their memory and environment"
                    .to_owned(),
            );
        }
        if open.is_empty() {
            return self.reason;
        }
        format!("{}; it can {}", self.reason, open.join(", and "))
    }
}

/// Directories of the container that nobody but user 0 may enter for the time of a run.
#[derive(Debug, Default)]
pub(super) struct Shut {
    modes: Vec<(PathBuf, u32)>,
}

impl Shut {
    /// Shuts what leads to `hidden` and is not the image's; gives what `user` can still read.
    pub(super) fn out(
        &mut self,
        swap: &Swap,
        user: &User,
        hidden: &[PathBuf],
    ) -> Result<Vec<PathBuf>, Fault> {
        let mut exposed = Vec::new();
        for path in hidden {
            let relative = path.strip_prefix(&swap.live).unwrap_or(path);
            match way_to(swap, relative) {
                Some(directory) => self.shut(&swap.live.join(directory))?,
                None if is_readable(path, user) => exposed.push(path.clone()),
                None => {}
            }
        }
        Ok(exposed)
    }

    fn shut(&mut self, directory: &Path) -> Result<(), Fault> {
        if self.modes.iter().any(|(known, _)| known == directory) {
            return Ok(());
        }
        let metadata = fs::symlink_metadata(directory).at("look at", directory)?;
        self.modes
            .push((directory.to_owned(), metadata.mode() & 0o7777));
        fs::set_permissions(directory, Permissions::from_mode(0o700)).at("shut", directory)
    }

    /// Gives the directories the modes that they had.
    pub(super) fn open(&mut self) -> Result<(), Fault> {
        for (directory, mode) in self.modes.drain(..) {
            match fs::set_permissions(&directory, Permissions::from_mode(mode)) {
                // A command that became user 0 after all removed it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done.at("open", &directory)?,
            }
        }
        Ok(())
    }
}

/// The outermost directory on the way to `path` that is the container's alone.
fn way_to(swap: &Swap, path: &Path) -> Option<PathBuf> {
    let mut ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
    ancestors.retain(|ancestor| !ancestor.as_os_str().is_empty());
    let own = |ancestor: &&&Path| {
        swap.entered.contains_key(**ancestor) && !is_directory(&swap.stage_path(ancestor))
    };
    ancestors
        .iter()
        .rev()
        .find(own)
        .map(|ancestor| ancestor.to_path_buf())
}

/// Whether the mode lets `user` in. A way that is shut further up was found before.
fn is_readable(path: &Path, user: &User) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    let groups = std::iter::once(&user.gid).chain(&user.groups);
    let shift = if metadata.uid() == user.uid {
        6
    } else if groups.into_iter().any(|group| *group == metadata.gid()) {
        3
    } else {
        0
    };
    let wanted = if metadata.is_dir() { 0o1 } else { 0o4 };
    (metadata.mode() >> shift) & wanted != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_open_is_said_for_the_user_that_can_reach_it() {
        let gap = |processes| Gap {
            reason: "no Landlock".to_owned(),
            processes,
        };
        let other = User {
            uid: 1,
            gid: 1,
            groups: Vec::new(),
        };
        let exposed = [PathBuf::from("/ci"), PathBuf::from("/.yadokari")];
        for (user, exposed, processes, expected) in [
            (
                User::root(),
                &exposed[..],
                true,
                "no Landlock; it can read and change /ci, /.yadokari, and signal the container's other processes \
                 and read their memory and environment",
            ),
            (
                User::root(),
                &exposed[..1],
                false,
                "no Landlock; it can read and change /ci",
            ),
            (
                other.clone(),
                &exposed[..1],
                true,
                "no Landlock; it can read /ci",
            ),
            (other, &[], true, "no Landlock"),
        ] {
            assert_eq!(gap(processes).told(&user, exposed), expected);
        }
    }
}
