//! Where the program runs: its user, its state directory, its container.

use std::path::PathBuf;

use serde_json::{Value, json};
use yadokari_sandbox::{ContainerEvidence, IdMap, UserNamespaceError};

use crate::environment::Environment;
use crate::flags::Doctor;
use crate::services::private_directory;

/// What is known about the surroundings before anything is tried.
#[derive(Debug)]
pub(super) struct Place {
    /// The user that started the program.
    pub(super) user: u32,
    /// Which owners files can have.
    pub(super) ids: String,
    pub(super) state_dir: PathBuf,
    /// Why the state directory cannot be used.
    pub(super) state_fault: Option<String>,
    /// Bytes free for it.
    pub(super) free: Option<u64>,
    /// Whether this is a container whose root may be moved.
    pub(super) container: bool,
    /// What speaks for and against that.
    pub(super) evidence: String,
    pub(super) kubernetes: bool,
    pub(super) gitlab: bool,
    /// The kernel's release.
    pub(super) kernel: String,
}

impl Place {
    /// Looks around, and makes the state directory.
    pub(super) fn look(
        doctor: &Doctor,
        environment: &Environment,
        standing: &Result<IdMap, UserNamespaceError>,
    ) -> Self {
        let state_dir = state_dir(doctor, environment);
        let made = private_directory(&state_dir).map_err(|error| error.to_string());
        let writable = made.and_then(|()| {
            rustix::fs::access(&state_dir, rustix::fs::Access::WRITE_OK)
                .map_err(|error| error.to_string())
        });
        let free = rustix::fs::statvfs(&state_dir)
            .ok()
            .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        let evidence = ContainerEvidence::gather(&environment.hints(false));
        Self {
            user: environment.user,
            ids: ids(environment.user, standing),
            state_fault: writable.err(),
            state_dir,
            free,
            container: evidence.allows_rootswap(),
            evidence: evidence.summary(),
            kubernetes: environment.text("KUBERNETES_SERVICE_HOST").is_some(),
            gitlab: environment.text("GITLAB_CI").is_some(),
            kernel: kernel(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "user": self.user,
            "ids": self.ids,
            "state_dir": self.state_dir,
            "state_fault": self.state_fault,
            "free_bytes": self.free,
            "container": self.container,
            "place": self.evidence,
            "kernel": self.kernel,
        })
    }
}

fn state_dir(doctor: &Doctor, environment: &Environment) -> PathBuf {
    let named = ["YADOKARI_DIR", "KANIKO_DIR"]
        .into_iter()
        .find_map(|name| environment.path(name));
    let chosen = doctor.state_dir.clone().or(named);
    environment
        .directory
        .join(chosen.unwrap_or_else(|| environment.default_state_dir()))
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn ids(user: u32, standing: &Result<IdMap, UserNamespaceError>) -> String {
    match standing {
        Ok(IdMap::AlreadyRoot) => "every id of this system".to_owned(),
        Ok(IdMap::Subordinate { users, groups }) => {
            format!("{users} user ids and {groups} group ids, through newuidmap")
        }
        Ok(IdMap::Single { reason }) => format!("every file has one owner: {reason}"),
        Err(_) => format!("only {user}, as there is no user namespace"),
    }
}
