//! Which entries stay, which move, and which are entered. No I/O.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What happens to an entry of the live root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It is a mount point, or the state directory: untouched.
    Stay,
    /// Something below it stays, so its children are looked at one by one.
    Descend,
    /// It is renamed as a whole.
    Move,
}

/// The paths that stay where they are, relative to the live root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    paths: BTreeSet<std::ffi::OsString>,
}

impl Kept {
    /// Keeps `paths`, given relative to the live root. The root itself is no such path.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths = paths
            .into_iter()
            .filter(|path| !path.as_os_str().is_empty());
        Self {
            paths: paths.map(PathBuf::into_os_string).collect(),
        }
    }

    /// What is kept in a container: its mount points, the kernel's filesystems and the state directory.
    pub(crate) fn of_container(
        mount_points: impl IntoIterator<Item = PathBuf>,
        state_dir: &Path,
    ) -> Self {
        let fixed = ["/proc", "/sys", "/dev"].into_iter().map(PathBuf::from);
        let all = mount_points
            .into_iter()
            .chain(fixed)
            .chain([state_dir.to_owned()]);
        Self::new(all.map(|path| path.strip_prefix("/").map_or(path.clone(), Path::to_owned)))
    }

    /// Adds a path that the kernel refused to move.
    pub(crate) fn add(&mut self, path: &Path) {
        self.paths.insert(path.as_os_str().to_owned());
    }

    /// All paths that stay.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(Path::new)
    }

    /// What happens to `path`.
    pub(crate) fn disposition(&self, path: &Path) -> Disposition {
        if self.covers(path) {
            Disposition::Stay
        } else if self
            .paths
            .iter()
            .any(|kept| Path::new(kept).starts_with(path))
        {
            Disposition::Descend
        } else {
            Disposition::Move
        }
    }

    /// The parts of `path` that stay in sight of the command. What moves is out of its place anyway, and
    /// something of the stage may have taken it.
    pub(crate) fn in_sight(&self, path: &Path) -> Vec<PathBuf> {
        match self.disposition(path) {
            Disposition::Stay => vec![path.to_owned()],
            Disposition::Descend => {
                let below = self
                    .paths
                    .iter()
                    .map(PathBuf::from)
                    .filter(|kept| kept.starts_with(path));
                below.collect()
            }
            Disposition::Move => Vec::new(),
        }
    }

    /// Whether `path` stays, or lies in something that does.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        path.ancestors()
            .any(|ancestor| self.paths.contains(ancestor.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_stay_their_parents_are_entered_and_the_rest_moves() {
        let mounts = [
            "/",
            "/proc",
            "/proc/acpi",
            "/etc/hosts",
            "/etc/resolv.conf",
            "/run/secrets/k8s/token",
        ];
        let kept = Kept::of_container(mounts.map(PathBuf::from), Path::new("/.yadokari"));
        for (path, expected) in [
            ("proc", Disposition::Stay),
            ("sys", Disposition::Stay),
            ("dev", Disposition::Stay),
            (".yadokari", Disposition::Stay),
            (".yadokari/x", Disposition::Stay),
            ("etc", Disposition::Descend),
            ("etc/hosts", Disposition::Stay),
            ("etc/hostsx", Disposition::Move),
            ("etc/passwd", Disposition::Move),
            ("run", Disposition::Descend),
            ("run/secrets", Disposition::Descend),
            ("run/lock", Disposition::Move),
            ("usr", Disposition::Move),
            ("", Disposition::Descend),
        ] {
            assert_eq!(kept.disposition(Path::new(path)), expected, "{path:?}");
        }
        for (path, expected) in [
            ("run/secrets/k8s/token/x", &["run/secrets/k8s/token/x"][..]),
            ("run", &["run/secrets/k8s/token"][..]),
            ("usr/src", &[][..]),
        ] {
            assert_eq!(
                kept.in_sight(Path::new(path)),
                expected.iter().map(PathBuf::from).collect::<Vec<_>>()
            );
        }
    }
}
