//! Directories that processes of the container hold open or work in, which must stay the same directories.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{getpid, getppid};

use crate::reap;

/// The directories that are not made anew by a swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// These, relative to the live root.
    Paths(BTreeSet<PathBuf>),
    /// All, since some process does not show what it holds.
    Everything,
}

impl Held {
    /// What the processes below `/proc` hold in `live`, and what the caller says of itself.
    ///
    /// The caller is the parent process. It lets nobody look at it, so it has to tell.
    pub(crate) fn gather(live: &Path, by_caller: &[PathBuf]) -> Self {
        let mut held: BTreeSet<PathBuf> = by_caller.iter().cloned().collect();
        let asked =
            [Some(getpid()), getppid()].map(|pid| pid.map(|pid| pid.as_raw_nonzero().get()));
        for process in reap::processes() {
            if !process.is_running() || asked.contains(&Some(process.pid)) {
                continue;
            }
            let Ok(found) = held_by(&format!("/proc/{}", process.pid), Own::WorkingDirectory)
            else {
                return Self::Everything;
            };
            held.extend(found);
        }
        let below = held.iter().filter_map(|path| path.strip_prefix(live).ok());
        Self::Paths(below.map(Path::to_owned).collect())
    }

    /// Whether the directory at `path` must stay.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        match self {
            Self::Paths(paths) => paths.contains(path),
            Self::Everything => true,
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::Paths(BTreeSet::new())
    }
}

/// The directories this process has open. Its working directory is not among them: it can be entered again.
pub(crate) fn by_this_process() -> Vec<PathBuf> {
    held_by("/proc/self", Own::Nothing).unwrap_or_default()
}

/// What a process holds beside its open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Nothing,
    WorkingDirectory,
}

/// The error says that the process may not be looked at. One that has ended holds nothing.
fn held_by(process: &str, own: Own) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if own == Own::WorkingDirectory {
        for name in ["cwd", "root"] {
            found.extend(missing_is_none(fs::read_link(format!("{process}/{name}")))?);
        }
    }
    let open = missing_is_none(fs::read_dir(format!("{process}/fd")))?;
    for entry in open.into_iter().flatten().flatten() {
        let target = missing_is_none(fs::read_link(entry.path()))?;
        found.extend(target.filter(|path| path.is_absolute() && path.is_dir()));
    }
    Ok(found)
}

fn missing_is_none<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => Ok(None),
        result => result.map(Some),
    }
}

/// The working directory of this process, which a swap may have to make anew.
#[derive(Debug)]
pub(crate) struct WorkingDirectory(Option<PathBuf>);

impl WorkingDirectory {
    /// Takes note of it.
    pub(crate) fn remember() -> Self {
        Self(fs::read_link("/proc/self/cwd").ok())
    }

    /// Enters it again, as far as it is there.
    pub(crate) fn enter(&self) {
        if let Some(path) = &self.0 {
            // Without it, nothing relative is found; whoever looks for that says so.
            let _ = rustix::process::chdir(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_and_working_directories_are_found() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("open/inner")).unwrap();
        fs::create_dir(root.join("work")).unwrap();
        let _handle = crate::directory::open(&root.join("open/inner")).unwrap();
        assert!(by_this_process().contains(&root.join("open/inner")));
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .current_dir(root.join("work"))
            .spawn()
            .unwrap();
        let process = format!("/proc/{}", child.id());
        let found = held_by(&process, Own::WorkingDirectory).unwrap();
        assert!(found.contains(&root.join("work")), "{found:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(held_by(&process, Own::WorkingDirectory).unwrap().is_empty());
        let held = Held::Paths([PathBuf::from("work")].into());
        assert!(held.contains(Path::new("work")) && !held.contains(Path::new("open")));
        assert!(Held::Everything.contains(Path::new("open")));
    }
}
