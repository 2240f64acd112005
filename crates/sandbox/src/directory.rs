//! Paths below a root that the command's own links must not lead out of.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::error::{At as _, Fault, fault};

/// Follows symbolic links of `path` inside `root` and gives the real path relative to it.
///
/// Components that do not exist are kept as they are. No process may change the
/// root meanwhile: this is for before a command starts.
pub(crate) fn resolve(root: &Path, path: &Path) -> Result<PathBuf, Fault> {
    let mut real = PathBuf::new();
    let mut open: Vec<PathBuf> = components(path);
    let mut links = 0;
    while let Some(component) = open.pop() {
        if component.as_os_str() == OsStr::new("..") {
            real.pop();
            continue;
        }
        let next = real.join(&component);
        let Ok(target) = fs::read_link(root.join(&next)) else {
            real = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(fault("follow the links of", path, libc::ELOOP));
        }
        if target.is_absolute() {
            real = PathBuf::new();
        }
        open.extend(components(&target));
    }
    Ok(real)
}

/// The components of `path`, last first; `..` stays.
fn components(path: &Path) -> Vec<PathBuf> {
    let kept = path
        .components()
        .filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir));
    kept.map(|c| PathBuf::from(c.as_os_str()))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect()
}

/// Opens the directory at `path`, relative to `root`, following no link at all.
pub(crate) fn open_beneath(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Fault> {
    let mut directory = root.try_clone().at("open", path)?;
    for component in path.components() {
        let Component::Normal(name) = component else {
            return Err(fault("open", path, libc::EINVAL));
        };
        directory = open_child(&directory, name).at("open", path)?;
    }
    Ok(directory)
}

/// Opens the subdirectory `name`, not following a link.
pub(crate) fn open_child(directory: impl AsFd, name: &OsStr) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

/// Opens a directory by its full path, which the caller trusts.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Fault> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    rustix::fs::open(path, flags, Mode::empty()).at("open", path)
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &OwnedFd) -> Result<Vec<std::ffi::OsString>, rustix::io::Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// As the kernel has it.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run/lock")).unwrap();
        fs::create_dir_all(root.path().join("var")).unwrap();
        for (target, link) in [
            ("/run", "var/run"),
            ("../../../..", "up"),
            ("loop", "loop"),
            ("var/run/lock", "deep"),
            ("/etc/passwd", "out"),
        ] {
            symlink(target, root.path().join(link)).unwrap();
        }
        for (path, expected) in [
            ("/var/run/x", Some("run/x")),
            ("/up/up/etc", Some("etc")),
            ("/deep/../../a", Some("a")),
            ("/out", Some("etc/passwd")),
            ("/../..//./a/../b", Some("b")),
            ("/", Some("")),
            ("/loop/x", None),
        ] {
            let real = resolve(root.path(), Path::new(path)).ok();
            assert_eq!(real.as_deref(), expected.map(Path::new), "{path}");
        }
    }

    #[test]
    fn opening_beneath_refuses_links_and_parents() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        symlink("/", root.path().join("a/out")).unwrap();
        let handle = open(root.path()).unwrap();
        assert!(open_beneath(&handle, Path::new("a/b")).is_ok());
        for path in ["a/out", "a/out/etc", "..", "a/../a", "/a", "nosuch"] {
            assert!(open_beneath(&handle, Path::new(path)).is_err(), "{path}");
        }
    }
}
