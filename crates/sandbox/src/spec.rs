//! What a command needs: the plain data of one run.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One command, and everything it may see.
///
/// [`RunSpec::new`] fills in what a RUN without flags has; the fields are public,
/// so set the others afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunSpec {
    /// The root filesystem on disk, an absolute path without symbolic links.
    #[serde(with = "os_path")]
    pub root: PathBuf,
    /// Executable and arguments. A name without `/` is looked up in the `PATH` of [`RunSpec::env`], inside the root.
    pub argv: Vec<OsString>,
    /// The whole environment, in order; nothing is added to it.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory inside the root, absolute. It must exist.
    #[serde(with = "os_path")]
    pub cwd: PathBuf,
    /// Numeric identity of the command; names were resolved by the caller.
    pub user: User,
    /// Host name. Needs an uts namespace; elsewhere it is only written to `/etc/hosts` where that file is ours.
    pub hostname: String,
    /// Added hosts as `(address, name)`, in order.
    pub hosts: Vec<(String, String)>,
    /// Network the command gets.
    pub network: Network,
    /// Privileges the command gets.
    pub security: Security,
    /// Things grafted into the root for the time of the run, in any order.
    pub mounts: Vec<Mount>,
    /// Resource limits that differ from the inherited ones.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` in bytes; 64 MiB when absent.
    pub shm_size: Option<u64>,
    /// Where the content of `/etc/resolv.conf` comes from.
    pub resolv_conf: ResolvConf,
    /// Paths outside the root that the command may not reach where it shares the filesystem with its caller (rootswap).
    #[serde(with = "os_paths")]
    pub hidden: Vec<PathBuf>,
    /// A directory of the caller's on the root's filesystem. What a run in rootswap made ready there and did not use
    /// waits for the next one, so that each need not make it anew; without one, each does. Runs that share it take turns.
    #[serde(with = "os_path_if_any")]
    pub spares: Option<PathBuf>,
    /// Where everything the command writes goes instead of into the root; needs namespaces, and
    /// [`crate::Runner::overlay`] says whether it works and with which marks.
    pub overlay: Option<Overlay>,
}

impl RunSpec {
    /// A command run by root in `/`, with no environment and no mounts.
    pub fn new(
        root: impl Into<PathBuf>,
        argv: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self {
            root: root.into(),
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: User::root(),
            hostname: "buildkitsandbox".to_owned(),
            hosts: Vec::new(),
            network: Network::Default,
            security: Security::Sandbox,
            mounts: Vec::new(),
            ulimits: Vec::new(),
            shm_size: None,
            resolv_conf: ResolvConf::Inherit,
            hidden: Vec::new(),
            spares: None,
            overlay: None,
        }
    }
}

/// Directories of an overlay over the root, empty, on one filesystem that is no overlay itself.
///
/// Nothing in the upper directory refers to the root afterwards: files are copied up whole and
/// directories of the root cannot be renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Gets what is written. Its own owner, mode and times are those of `/`.
    #[serde(with = "os_path")]
    pub upper: PathBuf,
    /// Directories that show where the root has nothing, each hiding the next; the root itself
    /// hides them all.
    #[serde(with = "os_paths")]
    pub lower: Vec<PathBuf>,
    /// Used by the kernel; of no interest afterwards.
    #[serde(with = "os_path")]
    pub work: PathBuf,
    /// How the kernel marks what it writes.
    pub marks: OverlayMarks,
}

/// The attributes in which an overlay keeps what it has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayMarks {
    /// `trusted.overlay.*`, for the machine's own root.
    Trusted,
    /// `user.overlay.*`, inside a user namespace.
    User,
}

/// Numeric identity of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups; the primary group is added to them.
    pub groups: Vec<u32>,
}

impl User {
    /// User 0, group 0, no supplementary groups.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        }
    }

    /// Whether the command runs as user 0.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }
}

/// Network of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The network of the calling process.
    Default,
    /// Only a loopback interface, which is up.
    None,
    /// The network of the calling process, asked for by name.
    Host,
}

/// Privileges of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// The default capability set of container runtimes, masked `/proc`, read-only `/sys`.
    Sandbox,
    /// Everything the calling process has.
    Insecure,
}

/// Where `/etc/resolv.conf` comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResolvConf {
    /// The file of the calling process, read at the start of the run.
    Inherit,
    /// This content.
    Content(Vec<u8>),
}

/// Something put over a path of the root for the time of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the root; symbolic links on the way are followed inside it. Never `/`.
    #[serde(with = "os_path")]
    pub target: PathBuf,
    /// What appears there.
    pub source: MountSource,
    /// Whether the command may not write to it; see [`crate::Abilities::read_only_mounts`].
    pub read_only: bool,
}

/// What a [`Mount`] shows.
///
/// Sources lie on the filesystem of the state directory, so that rootswap can
/// graft them by rename. Owner and mode are those of the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// An existing directory.
    Directory(#[serde(with = "os_path")] PathBuf),
    /// An existing regular file.
    File(#[serde(with = "os_path")] PathBuf),
    /// A bound Unix socket.
    Socket(#[serde(with = "os_path")] PathBuf),
    /// An empty directory whose content is gone afterwards.
    Tmpfs {
        /// Size limit in bytes, enforced only where a tmpfs can be mounted.
        size: Option<u64>,
        /// Permission bits, usually 0o1777.
        mode: u32,
    },
}

/// One resource limit. `u64::MAX` means unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Name as `docker build --ulimit` spells it, for example `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// How a command is kept apart from the rest of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Own mount, pid, ipc and uts namespaces and `pivot_root`.
    Namespaces,
    /// The root's entries are renamed into `/` and back; container only.
    Rootswap,
    /// `chroot`, without `/proc`.
    Chroot,
}

impl Isolation {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Rootswap, Self::Chroot];

    /// The name used by flags and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Rootswap => "rootswap",
            Self::Chroot => "chroot",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Serialises a path through `OsString`, since serde refuses paths that are not UTF-8.
pub(crate) mod os_path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PathBuf, D::Error> {
        OsString::deserialize(deserializer).map(PathBuf::from)
    }
}

/// [`os_path`] for a path that may be absent.
pub(crate) mod os_path_if_any {
    use std::ffi::{OsStr, OsString};
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let path: Option<&OsStr> = path.as_ref().map(|path| path.as_os_str());
        path.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let path = Option::<OsString>::deserialize(deserializer)?;
        Ok(path.map(PathBuf::from))
    }
}

/// [`os_path`] for a list.
pub(crate) mod os_paths {
    use std::ffi::{OsStr, OsString};
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        paths: &[PathBuf],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        paths
            .iter()
            .map(|path| path.as_os_str())
            .collect::<Vec<&OsStr>>()
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let paths = Vec::<OsString>::deserialize(deserializer)?;
        Ok(paths.into_iter().map(PathBuf::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn names_that_are_not_utf8_survive_serialisation() {
        let odd = OsString::from_vec(vec![b'/', 0xff, b'\n']);
        let mut spec = RunSpec::new(&odd, [odd.clone()]);
        spec.cwd = PathBuf::from(&odd);
        spec.hidden = vec![PathBuf::from(&odd)];
        spec.overlay = Some(Overlay {
            upper: PathBuf::from(&odd),
            lower: vec![PathBuf::from(&odd)],
            work: PathBuf::from(&odd),
            marks: OverlayMarks::User,
        });
        spec.env = vec![(odd.clone(), odd.clone())];
        spec.mounts = vec![Mount {
            target: PathBuf::from(&odd),
            source: MountSource::File(PathBuf::from(&odd)),
            read_only: true,
        }];
        let text = serde_json::to_vec(&spec).unwrap();
        assert_eq!(serde_json::from_slice::<RunSpec>(&text).unwrap(), spec);
    }
}
