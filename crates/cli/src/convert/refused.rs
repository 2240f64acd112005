//! Flags whose meaning this program cannot give, each with what does the same.

use super::{Given, UsageError};
use crate::flags::go::{self, Switch};

/// Refuses what would otherwise be ignored.
pub(super) fn refuse(given: Given<'_>) -> Result<(), UsageError> {
    attestations(given)?;
    snapshot_mode(given)?;
    let classic = &given.flags.classic;
    let limits = [
        ("cgroup-parent", &classic.cgroup_parent),
        ("memory", &classic.memory),
        ("memory-swap", &classic.memory_swap),
        ("cpu-period", &classic.cpu_period),
        ("cpu-quota", &classic.cpu_quota),
        ("cpu-shares", &classic.cpu_shares),
        ("cpuset-cpus", &classic.cpuset_cpus),
        ("cpuset-mems", &classic.cpuset_mems),
    ];
    if let Some((flag, _)) = limits.iter().find(|(_, value)| asks(value.as_deref())) {
        return Err(UsageError::Unavailable {
            flag,
            reason: "no control group is made for RUN",
            instead: "limit the container or job that this program runs in",
        });
    }
    let others = [
        (
            "security-opt",
            !classic.security_opt.is_empty(),
            "RUN has one confinement, docker's default or tighter",
            "use `RUN --security=insecure` with --allow security.insecure",
        ),
        (
            "device",
            !classic.device.is_empty(),
            "RUN gets no devices of the machine",
            "leave it out",
        ),
        (
            "policy",
            !classic.policy.is_empty(),
            "policies are not evaluated",
            "leave it out",
        ),
    ];
    match others.into_iter().find(|(_, given, ..)| *given) {
        Some((flag, _, reason, instead)) => Err(UsageError::Unavailable {
            flag,
            reason,
            instead,
        }),
        None => Ok(()),
    }
}

/// Kaniko's ways to find changes are all the same here, but a word that is none of them is a mistake.
fn snapshot_mode(given: Given<'_>) -> Result<(), UsageError> {
    match super::nonempty(given.flags.kaniko.snapshot_mode.as_deref()) {
        None | Some("full" | "redo" | "time") => Ok(()),
        Some(other) => Err(UsageError::Value {
            flag: "snapshot-mode",
            value: other.to_owned(),
            reason: "expected full, redo or time".to_owned(),
        }),
    }
}

/// Whether a limit limits anything: none, 0 and -1 do not.
fn asks(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "" | "0" | "-1"))
}

/// No attestation is made, so only what asks for none can be had.
fn attestations(given: Given<'_>) -> Result<(), UsageError> {
    let docker = &given.flags.docker;
    let single = [("provenance", &docker.provenance), ("sbom", &docker.sbom)];
    let single = single
        .into_iter()
        .filter_map(|(flag, value)| Some((flag, value.as_deref()?)));
    let attest = given.flags.classic.attest.iter();
    let all = single.chain(attest.map(|value| ("attest", value.as_str())));
    match all.into_iter().find(|(_, value)| !is_disabled(value)) {
        Some((flag, _)) => Err(UsageError::Unavailable {
            flag,
            reason: "attestations are not made",
            instead: "leave it out, or set it to false",
        }),
        None => Ok(()),
    }
}

/// `false`, or options among which is `disabled=true`.
fn is_disabled(value: &str) -> bool {
    if let Ok(Switch(on)) = value.parse() {
        return !on;
    }
    let options = go::options(value).unwrap_or_default();
    options.iter().any(|(key, value)| {
        let on = value.as_deref().unwrap_or("true").parse();
        key == "disabled" && on == Ok(Switch(true))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestations_are_disabled_in_several_ways() {
        for value in [
            "false",
            "0",
            "type=provenance,disabled=true",
            "disabled",
            "mode=max,disabled=1",
        ] {
            assert!(is_disabled(value), "{value}");
        }
        for value in ["true", "", "mode=max", "type=sbom", "disabled=false"] {
            assert!(!is_disabled(value), "{value}");
        }
    }
}
