//! Whether `/` is a container's root and may be swapped.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What the caller read from its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHints {
    /// The variable `container`, which some runtimes set.
    pub container: Option<String>,
    /// Whether `KUBERNETES_SERVICE_HOST` is set.
    pub kubernetes: bool,
    /// The user insists that this is a container (`--force`).
    pub force: bool,
}

/// What speaks for and against being in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvidence {
    markers: Vec<String>,
    root: RootMount,
    force: bool,
}

/// The mount at `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RootMount {
    /// Directory of the filesystem that is mounted.
    directory: String,
    kind: String,
}

impl ContainerEvidence {
    /// Looks around in this process's filesystem.
    pub fn gather(hints: &ContainerHints) -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let cgroup = fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
        let files: Vec<&str> = MARKER_FILES
            .into_iter()
            .filter(|file| Path::new(file).exists())
            .collect();
        Self::judge(hints, &files, &mountinfo, &cgroup)
    }

    fn judge(hints: &ContainerHints, files: &[&str], mountinfo: &str, cgroup: &str) -> Self {
        let mut markers: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        if let Some(container) = hints.container.as_ref().filter(|name| !name.is_empty()) {
            markers.push(format!("container={container}"));
        }
        if hints.kubernetes {
            markers.push("KUBERNETES_SERVICE_HOST".to_owned());
        }
        if let Some(word) = CGROUP_WORDS.into_iter().find(|word| cgroup.contains(word)) {
            markers.push(format!("/proc/1/cgroup names {word}"));
        }
        Self {
            markers,
            root: root_mount(mountinfo),
            force: hints.force,
        }
    }

    /// Whether `/` may be swapped: a marker says container, and `/` is not a whole filesystem of a disk.
    pub fn allows_rootswap(&self) -> bool {
        self.force || (!self.markers.is_empty() && self.root.looks_like_a_containers())
    }

    /// The evidence in one line.
    pub fn summary(&self) -> String {
        let markers = match self.markers.as_slice() {
            [] => "no sign of a container".to_owned(),
            markers => markers.join(", "),
        };
        format!(
            "{markers}; `/` is `{}` of a {} filesystem",
            self.root.directory, self.root.kind
        )
    }
}

impl RootMount {
    /// Storage drivers either give a filesystem of their own kind or a subdirectory of the machine's.
    fn looks_like_a_containers(&self) -> bool {
        let own_kind = CONTAINER_FILESYSTEMS.contains(&self.kind.as_str());
        let subdirectory = !self.directory.is_empty() && self.directory != "/";
        let subvolume = matches!(self.kind.as_str(), "btrfs" | "bcachefs");
        own_kind || (subdirectory && (!subvolume || self.directory.contains("subvolumes/")))
    }
}

/// Finds the last mount at `/` in the text of `/proc/self/mountinfo`.
fn root_mount(mountinfo: &str) -> RootMount {
    mountinfo
        .lines()
        .filter_map(root_mount_of_line)
        .next_back()
        .unwrap_or_default()
}

fn root_mount_of_line(line: &str) -> Option<RootMount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (directory, at) = (fields.next()?, fields.next()?);
    let kind = filesystem.split(' ').next()?;
    (at == "/").then(|| RootMount {
        directory: directory.to_owned(),
        kind: kind.to_owned(),
    })
}

const MARKER_FILES: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/run/.dockerenv"];

const CGROUP_WORDS: [&str; 6] = ["docker", "kubepods", "containerd", "libpod", "lxc", "crio"];

/// Kinds that a machine boots from rarely, and then without any container marker.
const CONTAINER_FILESYSTEMS: [&str; 7] = [
    "overlay",
    "overlayfs",
    "fuse.fuse-overlayfs",
    "fuse-overlayfs",
    "aufs",
    "virtiofs",
    "9p",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hints: &ContainerHints, files: &[&str], root: &str) -> bool {
        ContainerEvidence::judge(hints, files, root, "0::/\n").allows_rootswap()
    }

    #[test]
    fn a_marker_and_a_containers_root_are_both_needed() {
        let overlay = "600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a";
        let vfs = "600 500 8:1 /var/lib/docker/vfs/dir/abc / rw,relatime - ext4 /dev/sda1 rw";
        let machine = "26 1 254:0 / / rw,relatime - ext4 /dev/vda rw";
        let btrfs = "26 1 0:20 /@ / rw - btrfs /dev/sda2 rw,subvol=/@";
        let docker_btrfs =
            "26 1 0:20 /var/lib/docker/btrfs/subvolumes/abc / rw - btrfs /dev/sda2 rw";
        let none = ContainerHints::default();
        let marked = ["/.dockerenv"];
        for (root, files, expected) in [
            (overlay, &marked[..], true),
            (overlay, &[][..], false),
            (vfs, &marked[..], true),
            (machine, &marked[..], false),
            (machine, &[][..], false),
            (btrfs, &marked[..], false),
            (docker_btrfs, &marked[..], true),
            ("", &marked[..], false),
        ] {
            assert_eq!(allowed(&none, files, root), expected, "{root} {files:?}");
        }
        assert!(allowed(
            &ContainerHints {
                kubernetes: true,
                ..none.clone()
            },
            &[],
            overlay
        ));
        assert!(allowed(
            &ContainerHints {
                container: Some("podman".into()),
                ..none.clone()
            },
            &[],
            overlay
        ));
        assert!(!allowed(
            &ContainerHints {
                container: Some(String::new()),
                ..none.clone()
            },
            &[],
            overlay
        ));
        assert!(allowed(
            &ContainerHints {
                force: true,
                ..none
            },
            &[],
            machine
        ));
    }

    #[test]
    fn the_last_mount_at_the_root_counts() {
        let text = "1 0 8:1 / / rw - rootfs rootfs rw\n2 1 0:9 / /proc rw - proc proc rw\n3 1 0:50 / / rw shared:1 - overlay o rw";
        assert_eq!(root_mount(text).kind, "overlay");
    }
}
