//! The interface of all isolation modes.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::error::RunError;
use crate::spec::{Isolation, OverlayMarks, RunSpec};

/// Runs commands in one isolation mode.
pub trait Runner: Send + Sync {
    /// Runs `spec` to its end and gives its status.
    ///
    /// `output` gets the command's bytes as they come, on the calling thread. When
    /// this returns, no process of the command is left and the root holds what the
    /// command made and nothing else.
    ///
    /// # Errors
    ///
    /// [`RunError::Exec`] is the command's own failure and counts as exit code 1;
    /// [`RunError::Cancelled`] follows `cancel` within two seconds; everything else
    /// means that the command was not started.
    fn run(
        &self,
        spec: &RunSpec,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<Exit, RunError>;

    /// Whether commands can be run at all, for an error before anything is prepared for one.
    ///
    /// # Errors
    ///
    /// [`RunError::NoIsolation`] if [`Runner::run`] would give nothing else.
    fn ready(&self) -> Result<(), RunError> {
        Ok(())
    }

    /// The isolation mode.
    fn isolation(&self) -> Isolation;

    /// What this mode can do.
    fn abilities(&self) -> Abilities;

    /// Whether a directory stays where it is while commands run, so that what is in it can be read through a handle of it.
    fn leaves_in_place(&self, _directory: &Path) -> bool {
        !self.abilities().moves_callers_root
    }

    /// Whether [`RunSpec::overlay`] works with directories in the state directory, and with which marks.
    ///
    /// # Errors
    ///
    /// Why it does not; [`RunError::Unsupported`] if the isolation mode has no mounts.
    fn overlay(&self) -> Result<OverlayMarks, RunError> {
        Err(no_overlay(self.isolation()))
    }
}

/// The answer of modes that cannot mount anything.
pub(crate) fn no_overlay(isolation: Isolation) -> RunError {
    RunError::Unsupported {
        what: format!("an overlay in {isolation} isolation"),
        needs: "namespaces (CAP_SYS_ADMIN or a user namespace)".to_owned(),
    }
}

/// Where output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What an isolation mode can do, for errors before anything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abilities {
    /// [`crate::Network::None`] works.
    pub network_none: bool,
    /// [`crate::Mount::read_only`] is enforced. Where it is not, mounts are copies or are trusted.
    pub read_only_mounts: bool,
    /// The command sees its own host name.
    pub hostname: bool,
    /// Commands of several roots may run at the same time.
    pub parallel: bool,
    /// The command has a `/proc`.
    pub proc: bool,
    /// Paths of the calling process resolve in the command's root during a run.
    pub moves_callers_root: bool,
}

impl Abilities {
    /// The abilities of `isolation`.
    pub fn of(isolation: Isolation) -> Self {
        let namespaces = isolation == Isolation::Namespaces;
        Self {
            network_none: namespaces,
            read_only_mounts: namespaces,
            hostname: namespaces,
            parallel: namespaces,
            proc: isolation != Isolation::Chroot,
            moves_callers_root: isolation == Isolation::Rootswap,
        }
    }
}

/// Whether a command that shares the filesystem with its caller is put into a Landlock domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confinement {
    /// Only commands of user 0. A domain needs `no_new_privs`, with which `sudo` and `su` of other users fail.
    #[default]
    Root,
    /// Every command, at the price of setuid programs for users other than 0.
    Always,
    /// None.
    Off,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exit {
    /// The exit status, or 128 plus the number of the signal that ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What a reader of the log should know about this run.
    pub notes: Vec<Note>,
}

impl Exit {
    pub(crate) fn exited(code: i32) -> Self {
        Self {
            code,
            signal: None,
            notes: Vec::new(),
        }
    }

    pub(crate) fn signalled(signal: i32) -> Self {
        Self {
            code: 128 + signal,
            signal: Some(signal),
            notes: Vec::new(),
        }
    }

    /// Whether the command succeeded.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Why a signal ended the command, as far as one can tell from outside.
    pub fn cause(&self) -> Option<&'static str> {
        match self.signal? {
            libc::SIGKILL => Some("killed; the memory limit may have been reached"),
            libc::SIGSEGV => Some("segmentation fault"),
            libc::SIGABRT => Some("aborted"),
            libc::SIGBUS => Some("bus error"),
            libc::SIGILL => Some("illegal instruction"),
            libc::SIGFPE => Some("arithmetic fault"),
            libc::SIGPIPE => Some("broken pipe"),
            libc::SIGTERM => Some("terminated"),
            libc::SIGSYS => Some("forbidden system call"),
            libc::SIGXFSZ => Some("file size limit reached"),
            libc::SIGXCPU => Some("processor time limit reached"),
            _ => Some("ended by a signal"),
        }
    }
}

/// A fact about a run that changes nothing in its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Note {
    /// The kernel refuses a new `/proc`, so the command sees the processes of its caller.
    SharedProc,
    /// The command was not confined, and can reach what lies outside its root.
    Unconfined {
        /// Why, as text.
        reason: String,
    },
    /// No new sysfs could be mounted and binding the existing one failed; `/sys` is empty.
    NoSys,
    /// A device node is missing, since neither a bind nor `mknod` worked.
    NoDevice {
        /// Its path.
        path: String,
    },
    /// There is no `/proc` in this isolation mode.
    NoProc,
    /// Processes were still running when the command ended, and were killed.
    LeftProcesses {
        /// How many.
        count: u32,
    },
    /// The host name stayed that of the container.
    HostnameKept,
    /// Directories of the container that its root lacks are visible to the command, empty: some process of the
    /// container works in them or holds them open, and the kernel does not let them be moved.
    ///
    /// A command that makes one of them fails, or with `mkdir -p` leaves no trace of it in its root. Directories
    /// that hold a mount of the container are visible as well and are not named, since every run has those.
    DirectoriesStay {
        /// Their paths.
        paths: Vec<String>,
    },
    /// The command made more entries next to something hidden than can be made usable for it.
    EntriesUnusable,
    /// The command changed a file that the runtime mounts into every container. It is what it was again, and no layer has the change.
    NotKept {
        /// Its path.
        path: String,
    },
    /// A size limit is not enforced in this isolation mode.
    SizeIgnored {
        /// The mount's target.
        target: String,
    },
    /// A mount was asked for read-only but the command could have written to it.
    Writable {
        /// The mount's target.
        target: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharedProc => f.write_str(
                "the kernel refuses a new /proc here; the command sees the existing one",
            ),
            Self::Unconfined { reason } => {
                write!(f, "the command is not confined by Landlock: {reason}")
            }
            Self::NoSys => f.write_str("/sys is empty: it can be neither mounted nor bound here"),
            Self::NoDevice { path } => write!(
                f,
                "{path} is missing: it can be neither bound nor made here"
            ),
            Self::NoProc => f.write_str("there is no /proc in chroot isolation"),
            Self::LeftProcesses { count } => write!(
                f,
                "{count} processes were left by the command and were killed"
            ),
            Self::HostnameKept => f.write_str("the host name stays that of the container"),
            Self::DirectoriesStay { paths } => {
                let shown = &paths[..paths.len().min(MOST_NAMES)];
                let rest = match paths.len() - shown.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                write!(
                    f,
                    "the command sees empty directories of the container, which are in use there: {}{rest}",
                    shown.join(", ")
                )
            }
            Self::EntriesUnusable => f.write_str(
                "the command made more entries next to the container's own than Landlock could be told of; \
                 some of them could not be opened by it: make them in a directory of their own",
            ),
            Self::NotKept { path } => write!(
                f,
                "what the command did to {path} is undone: that file is the container's own"
            ),
            Self::SizeIgnored { target } => {
                write!(f, "the size limit of the mount on {target} is not enforced")
            }
            Self::Writable { target } => write!(
                f,
                "the mount on {target} is not read-only in this isolation mode"
            ),
        }
    }
}

/// Names in one line of a log.
const MOST_NAMES: usize = 8;
