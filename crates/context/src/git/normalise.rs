//! Gives a checkout the modes a repository knows, whatever the umask was.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use walkdir::{DirEntry, WalkDir};

use crate::git::GitError;

/// Makes directories 0755 and files 0755 or 0644; drops submodules' `.git` unless it is kept.
///
/// Times are set last and children first, since touching a child touches its directory.
pub(crate) fn normalise(tree: &Path, keep: bool, time: Option<i64>) -> Result<(), GitError> {
    let mut found = Vec::new();
    let mut walk = WalkDir::new(tree).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| GitError::at(tree, error.into()))?;
        let is_git = entry.file_name() == ".git" && entry.depth() > 0;
        if is_git && entry.file_type().is_dir() {
            walk.skip_current_dir();
        }
        if is_git && !keep {
            let removed = remove(&entry);
            removed.map_err(|error| GitError::at(entry.path(), error))?;
            continue;
        }
        set_mode(&entry).map_err(|error| GitError::at(entry.path(), error))?;
        found.push(entry.into_path());
    }
    let Some(seconds) = time else { return Ok(()) };
    for path in found.iter().rev() {
        set_time(path, seconds).map_err(|error| GitError::at(path, error))?;
    }
    Ok(())
}

fn remove(entry: &DirEntry) -> io::Result<()> {
    match entry.file_type().is_dir() {
        true => fs::remove_dir_all(entry.path()),
        false => fs::remove_file(entry.path()),
    }
}

fn set_mode(entry: &DirEntry) -> io::Result<()> {
    let kind = entry.file_type();
    let mode = if kind.is_dir() {
        0o755
    } else if kind.is_file() {
        let executable = fs::symlink_metadata(entry.path())?.permissions().mode() & 0o111 != 0;
        if executable { 0o755 } else { 0o644 }
    } else {
        return Ok(());
    };
    fs::set_permissions(entry.path(), Permissions::from_mode(mode))
}

fn set_time(path: &Path, seconds: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
