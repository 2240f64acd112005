//! Where the mounts of a run go, and what their mount points lie in.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::{Fault, RunError};
use crate::spec::{Mount, MountSource};
use crate::stubs::{StubKind, Stubs};

/// A mount with its real place.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) mount: &'a Mount,
    /// Real path relative to the root.
    pub(crate) path: PathBuf,
}

impl MountSource {
    /// What the mount point has to be.
    pub(crate) fn stub_kind(&self) -> StubKind {
        match self {
            Self::Directory(_) | Self::Tmpfs { .. } => StubKind::Directory,
            Self::File(_) | Self::Socket(_) => StubKind::File,
        }
    }

    /// The path of the source, for all but a tmpfs.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) | Self::File(path) | Self::Socket(path) => Some(path),
            Self::Tmpfs { .. } => None,
        }
    }
}

/// Whether a path is a program or a script.
pub(crate) fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// Whether the filesystem that a path lies on executes nothing.
pub(crate) fn forbids_execution(path: &Path) -> bool {
    let flags = rustix::fs::statvfs(path).map(|stat| stat.f_flag);
    flags.is_ok_and(|flags| flags.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Resolves the targets in `root` and sorts them, so that a nested mount comes after what it lies in.
pub(crate) fn place<'a>(
    root: &Path,
    mounts: impl IntoIterator<Item = &'a Mount>,
) -> Result<Vec<Placed<'a>>, RunError> {
    let mut placed = Vec::new();
    for mount in mounts {
        let path = directory::resolve(root, &mount.target)?;
        if path.as_os_str().is_empty() || !mount.target.is_absolute() {
            return Err(RunError::Invalid {
                what: format!("mount target {:?}", mount.target.display().to_string()),
                reason: "is not an absolute path below /".to_owned(),
            });
        }
        placed.push(Placed { mount, path });
    }
    placed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(placed)
}

/// Makes the mount points that are missing, in the root or in the directory mounted above.
///
/// Those inside a tmpfs, or below one of `fresh`, are made in the mount itself later.
pub(crate) fn prepare(
    root: &OwnedFd,
    placed: &[Placed<'_>],
    fresh: &[PathBuf],
    stubs: &mut Stubs,
) -> Result<(), Fault> {
    for (index, mount) in placed.iter().enumerate() {
        let kind = mount.mount.source.stub_kind();
        let above = placed[..index]
            .iter()
            .rev()
            .find(|above| is_below(&mount.path, &above.path));
        if let Some(above) = above {
            if let MountSource::Directory(source) = &above.mount.source {
                let inside = mount.path.strip_prefix(&above.path).unwrap_or(&mount.path);
                stubs.ensure(&directory::open(source)?, inside, kind)?;
            }
        } else if !fresh.iter().any(|fresh| mount.path.starts_with(fresh)) {
            stubs.ensure(root, &mount.path, kind)?;
        }
    }
    Ok(())
}

fn is_below(path: &Path, above: &Path) -> bool {
    path != above && path.starts_with(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str) -> Mount {
        let source = MountSource::Tmpfs {
            size: None,
            mode: 0o1777,
        };
        Mount {
            target: PathBuf::from(target),
            source,
            read_only: false,
        }
    }

    #[test]
    fn nested_targets_come_after_what_they_lie_in() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/run", root.path().join("r")).unwrap();
        let mounts = ["/b/c", "/a-x", "/r/secrets", "/b", "/a/y"].map(mount);
        let placed = place(root.path(), &mounts).unwrap();
        let paths: Vec<_> = placed
            .iter()
            .map(|placed| placed.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, ["a/y", "a-x", "b", "b/c", "run/secrets"]);
    }

    #[test]
    fn the_root_itself_is_no_target() {
        let root = tempfile::tempdir().unwrap();
        for target in ["/", "/..", "relative", "", "/a/.."] {
            let mounts = [mount(target)];
            assert!(
                matches!(place(root.path(), &mounts), Err(RunError::Invalid { .. })),
                "{target}"
            );
        }
    }
}
