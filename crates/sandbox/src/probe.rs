//! Finds out what works here by trying it.

use serde::{Deserialize, Serialize};

use crate::cancel::Cancel;
use crate::control::{Reply, Task};
use crate::error::RunError;
use crate::landlock;
use crate::runner::Note;
use crate::sandbox::{Settings, converse};
use crate::spec::Isolation;

/// What works in this environment, and why the rest does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// One attempt for each isolation mode, the strongest first.
    pub attempts: Vec<Attempt>,
}

impl Probe {
    /// The strongest mode that works.
    pub fn best(&self) -> Option<Isolation> {
        self.attempts
            .iter()
            .find(|attempt| attempt.works())
            .map(|attempt| attempt.isolation)
    }

    /// The attempt for `isolation`.
    pub fn of(&self, isolation: Isolation) -> Option<&Attempt> {
        self.attempts
            .iter()
            .find(|attempt| attempt.isolation == isolation)
    }
}

/// What trying one isolation mode gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The mode.
    pub isolation: Isolation,
    /// Why it does not work, if it does not.
    pub obstacle: Option<Obstacle>,
    /// What is different here from the mode at its best.
    pub notes: Vec<Note>,
    /// Landlock's interface version, 0 when the kernel has none.
    pub landlock: u32,
    /// Whether an overlay can be mounted with its upper directory in the state directory.
    pub overlay: bool,
}

impl Attempt {
    /// Whether the mode can be used.
    pub fn works(&self) -> bool {
        self.obstacle.is_none()
    }
}

/// Why a mode does not work, and what would make it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// What was tried and what the kernel answered.
    pub reason: String,
    /// What to change in the environment.
    pub remedy: String,
}

/// What the helper found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProbeAnswer {
    pub(crate) obstacle: Option<Obstacle>,
    pub(crate) notes: Vec<Note>,
    pub(crate) landlock: u32,
    pub(crate) overlay: bool,
}

/// Tries each isolation mode in a helper process.
///
/// The state directory must exist. Nothing outside it is changed, except that
/// rootswap's attempt renames one new directory from `/` into it.
pub fn probe(settings: &Settings) -> Probe {
    Probe {
        attempts: Isolation::ALL
            .into_iter()
            .map(|isolation| attempt(settings, isolation))
            .collect(),
    }
}

fn attempt(settings: &Settings, isolation: Isolation) -> Attempt {
    let task = Task::Probe { isolation };
    let answer = match converse(settings, task, &mut |_, _| {}, &Cancel::new()) {
        Ok(Reply::Probed(answer)) => answer,
        Ok(Reply::Failed(error)) | Err(error) => failed(isolation, &error),
        Ok(Reply::Exited(_) | Reply::Overlay(_)) => failed(isolation, &RunError::Cancelled),
    };
    Attempt {
        isolation,
        obstacle: answer.obstacle,
        notes: answer.notes,
        landlock: answer.landlock,
        overlay: answer.overlay,
    }
}

fn failed(isolation: Isolation, error: &RunError) -> ProbeAnswer {
    ProbeAnswer {
        obstacle: Some(Obstacle {
            reason: error.to_string(),
            remedy: remedy(isolation).to_owned(),
        }),
        notes: Vec::new(),
        landlock: landlock::version(),
        overlay: false,
    }
}

/// What a user can do to make a mode work, in a line.
pub(crate) fn remedy(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Namespaces => {
            "allow user namespaces, or give CAP_SYS_ADMIN: in a container with --security-opt seccomp=unconfined or \
             --cap-add SYS_ADMIN, on a machine with the sysctls that forbid them; `yadokari doctor` has the details"
        }
        Isolation::Rootswap => {
            "run as user 0 in a container whose root filesystem is writable, with --state-dir on that \
             filesystem (the default /.yadokari is)"
        }
        Isolation::Chroot => {
            "run as user 0 with CAP_SYS_CHROOT, which container runtimes give by default"
        }
    }
}
