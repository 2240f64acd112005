//! How to get what is missing, in the words of whoever has to change it.

use yadokari_sandbox::{Attempt, Isolation};

use super::place::Place;

/// A setting, and who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The program or file it is for.
    pub(super) whom: &'static str,
    /// What to write there.
    pub(super) setting: &'static str,
}

/// The ways to an isolation that does not work; each of them is enough, unless it says otherwise.
pub(super) fn of(attempt: &Attempt, place: &Place) -> Vec<Way> {
    if attempt.works() {
        return Vec::new();
    }
    match (attempt.isolation, place.container) {
        (Isolation::Namespaces, true) => in_container(place),
        (Isolation::Namespaces, false) => ON_MACHINE.to_vec(),
        (Isolation::Rootswap, true) if place.user != 0 => RUN_AS_ROOT.to_vec(),
        (Isolation::Rootswap, true) => WRITABLE_ROOT.to_vec(),
        // A machine's own root must not be moved.
        (Isolation::Rootswap, false) => Vec::new(),
        (Isolation::Chroot, _) if place.user != 0 => RUN_AS_ROOT.to_vec(),
        (Isolation::Chroot, _) => CAP_SYS_CHROOT.to_vec(),
    }
}

/// The system that this container belongs to comes first.
fn in_container(place: &Place) -> Vec<Way> {
    let mut ways = IN_CONTAINER.to_vec();
    let likely = |way: &Way| {
        (place.gitlab && way.whom.starts_with("GitLab"))
            || (place.kubernetes && way.whom.starts_with("Kubernetes"))
    };
    ways.sort_by_key(|way| !likely(way));
    ways
}

const fn way(whom: &'static str, setting: &'static str) -> Way {
    Way { whom, setting }
}

const IN_CONTAINER: [Way; 6] = [
    way("docker run", "--security-opt seccomp=unconfined"),
    way(
        "docker run",
        "--cap-add SYS_ADMIN (with AppArmor also --security-opt apparmor=unconfined)",
    ),
    way(
        "Kubernetes",
        "securityContext: {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}}",
    ),
    way(
        "Kubernetes",
        "hostUsers: false, with securityContext: {capabilities: {add: [SYS_ADMIN]}}",
    ),
    way(
        "GitLab runner",
        "[runners.docker] security_opt = [\"seccomp=unconfined\"]",
    ),
    way(
        "GitLab runner",
        "[runners.kubernetes.build_container_security_context.capabilities] add = [\"SYS_ADMIN\"]",
    ),
];

const ON_MACHINE: [Way; 5] = [
    way(
        "apt, dnf, apk",
        "install uidmap (shadow-utils, shadow-uidmap)",
    ),
    way(
        "/etc/subuid, /etc/subgid",
        "a line <user>:100000:65536 in each",
    ),
    way("sysctl", "user.max_user_namespaces=15000"),
    way("sysctl (Debian)", "kernel.unprivileged_userns_clone=1"),
    way(
        "sysctl (Ubuntu)",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

const RUN_AS_ROOT: [Way; 3] = [
    way("docker run", "--user 0"),
    way("Kubernetes", "securityContext: {runAsUser: 0}"),
    way("GitLab runner", "[runners.docker] user = \"root\""),
];

const WRITABLE_ROOT: [Way; 3] = [
    way(
        "docker run",
        "no --read-only, and no volume for the state directory",
    ),
    way(
        "Kubernetes",
        "securityContext: {readOnlyRootFilesystem: false}",
    ),
    way("yadokari", "no --state-dir, or one on the filesystem of /"),
];

const CAP_SYS_CHROOT: [Way; 2] = [
    way("docker run", "--cap-add SYS_CHROOT"),
    way(
        "Kubernetes",
        "securityContext: {capabilities: {add: [SYS_CHROOT]}}",
    ),
];
