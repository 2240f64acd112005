//! The findings for people.

use std::fmt::Write as _;

use yadokari_sandbox::{Attempt, Isolation};

use super::registries::Answer;
use super::{Findings, remedies, snapshots};

/// Renders everything, a subject to a paragraph.
pub(super) fn render(findings: &Findings) -> String {
    let mut out = place(findings);
    out.push_str(&isolation(findings));
    out.push_str(&chosen(findings));
    out.push_str(&ways(findings));
    out.push_str(&registries(&findings.answers));
    out
}

fn place(findings: &Findings) -> String {
    let place = &findings.place;
    let state = match (&place.state_fault, place.free) {
        (Some(fault), _) => format!("cannot be used: {fault}; choose another with --state-dir"),
        (None, Some(free)) => format!("{} free", size(free)),
        (None, None) => "can be used".to_owned(),
    };
    let landlock = findings
        .probe
        .attempts
        .iter()
        .map(|attempt| attempt.landlock)
        .max();
    let landlock = match landlock {
        None | Some(0) => "no Landlock".to_owned(),
        Some(version) => format!("Landlock version {version}"),
    };
    table(&[
        ("user", place.user.to_string()),
        ("owners", place.ids.clone()),
        ("state", format!("{} ({state})", place.state_dir.display())),
        ("place", place.evidence.clone()),
        ("kernel", format!("{}, {landlock}", place.kernel)),
    ])
}

fn isolation(findings: &Findings) -> String {
    let mut out = format!(
        "\n{:<width$}{:<TRIED$}answer\n",
        "isolation",
        "tried",
        width = WIDTH
    );
    for attempt in &findings.probe.attempts {
        let answer = match &attempt.obstacle {
            None => format!("works; snapshots: {}", snapshots(attempt).join(", ")),
            Some(obstacle) => format!("no: {}", obstacle.reason),
        };
        let name = attempt.isolation.name();
        let _ = writeln!(
            out,
            "{name:<WIDTH$}{:<TRIED$}{answer}",
            tried(attempt.isolation)
        );
        for note in &attempt.notes {
            let _ = writeln!(out, "{:WIDTH$}{:TRIED$}{note}", "", "");
        }
    }
    out
}

/// What an attempt did.
fn tried(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::Namespaces => "namespaces, mounts, pivot_root",
        Isolation::Rootswap => "a rename between / and state",
        Isolation::Chroot => "another root directory",
    }
}

fn chosen(findings: &Findings) -> String {
    match findings.chosen() {
        Some(best) => format!(
            "{:<WIDTH$}{}, snapshots by {}\n",
            "chosen",
            best.isolation,
            snapshots(best)[0]
        ),
        None => format!(
            "{:<WIDTH$}none: a Dockerfile with RUN cannot be built here, one without can\n",
            "chosen"
        ),
    }
}

/// How to get what is stronger than what is chosen.
fn ways(findings: &Findings) -> String {
    let stronger = findings
        .probe
        .attempts
        .iter()
        .take_while(|attempt| !attempt.works());
    stronger.map(|attempt| ways_to(attempt, findings)).collect()
}

fn ways_to(attempt: &Attempt, findings: &Findings) -> String {
    let ways = remedies::of(attempt, &findings.place);
    if ways.is_empty() {
        return String::new();
    }
    let mut out = format!("\nto get {}, one of\n", attempt.isolation);
    let width = ways.iter().map(|way| way.whom.len()).max().unwrap_or(0) + 2;
    for way in ways {
        let _ = writeln!(out, "  {:<width$}{}", way.whom, way.setting);
    }
    out
}

fn registries(answers: &[Answer]) -> String {
    if answers.is_empty() {
        return "\nregistries\n  none is named here; `yadokari doctor REGISTRY` asks one\n"
            .to_owned();
    }
    let mut out = "\nregistries\n".to_owned();
    for answer in answers {
        let credentials = match answer.credentials.as_slice() {
            [] => "none".to_owned(),
            sources => sources.join(", "),
        };
        let said = match &answer.answer {
            Ok(said) => said.clone(),
            Err(reason) => format!("no: {reason}"),
        };
        let _ = write!(
            out,
            "  {}\n    answer       {said}\n    credentials  {credentials}\n",
            answer.name
        );
        for failure in &answer.failures {
            let _ = writeln!(out, "    failed       {failure}");
        }
    }
    out
}

fn table(rows: &[(&str, String)]) -> String {
    rows.iter()
        .map(|(name, value)| format!("{name:<WIDTH$}{value}\n"))
        .collect()
}

/// In the unit that gives a number people can compare.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    let shown = bytes as f64 / f64::from(1 << 10).powi(i32::try_from(unit).unwrap_or(0));
    format!("{shown:.1} {}", UNITS[unit as usize])
}

const WIDTH: usize = 12;
const TRIED: usize = 33;

#[cfg(test)]
mod tests {
    use yadokari_sandbox::{Note, Obstacle, Probe};

    use super::*;
    use crate::command::doctor::place::Place;

    /// A default container, as the doctor finds it.
    fn container() -> Findings {
        let attempt = |isolation, reason: Option<&str>, notes| Attempt {
            isolation,
            obstacle: reason.map(|reason| Obstacle {
                reason: reason.to_owned(),
                remedy: "a line".to_owned(),
            }),
            notes,
            landlock: 7,
            overlay: false,
        };
        Findings {
            place: Place {
                user: 0,
                ids: "every id of this system".to_owned(),
                state_dir: "/.yadokari".into(),
                state_fault: None,
                free: Some(3 << 30),
                container: true,
                evidence: "/.dockerenv; `/` is `/` of a overlay filesystem".to_owned(),
                kubernetes: false,
                gitlab: true,
                kernel: "6.18.1".to_owned(),
            },
            probe: Probe {
                attempts: vec![
                    attempt(Isolation::Namespaces, Some("not permitted"), Vec::new()),
                    attempt(Isolation::Rootswap, None, Vec::new()),
                    attempt(Isolation::Chroot, None, vec![Note::NoProc]),
                ],
            },
            answers: vec![Answer {
                name: "registry.example.com".to_owned(),
                credentials: vec!["CI_REGISTRY_USER".to_owned(), "CI_JOB_TOKEN".to_owned()],
                failures: Vec::new(),
                answer: Ok("answers at https://registry.example.com/, wants a token".to_owned()),
            }],
        }
    }

    #[test]
    fn a_default_container_is_told_what_works_and_how_to_get_more() {
        insta::assert_snapshot!(render(&container()), @r#"
        user        0
        owners      every id of this system
        state       /.yadokari (3.0 GiB free)
        place       /.dockerenv; `/` is `/` of a overlay filesystem
        kernel      6.18.1, Landlock version 7

        isolation   tried                            answer
        namespaces  namespaces, mounts, pivot_root   no: not permitted
        rootswap    a rename between / and state     works; snapshots: scan
        chroot      another root directory           works; snapshots: scan
                                                     there is no /proc in chroot isolation
        chosen      rootswap, snapshots by scan

        to get namespaces, one of
          GitLab runner  [runners.docker] security_opt = ["seccomp=unconfined"]
          GitLab runner  [runners.kubernetes.build_container_security_context.capabilities] add = ["SYS_ADMIN"]
          docker run     --security-opt seccomp=unconfined
          docker run     --cap-add SYS_ADMIN (with AppArmor also --security-opt apparmor=unconfined)
          Kubernetes     securityContext: {seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}}
          Kubernetes     hostUsers: false, with securityContext: {capabilities: {add: [SYS_ADMIN]}}

        registries
          registry.example.com
            answer       answers at https://registry.example.com/, wants a token
            credentials  CI_REGISTRY_USER, CI_JOB_TOKEN
        "#);
    }

    #[test]
    fn where_nothing_works_every_way_out_is_named() {
        let mut findings = container();
        findings.place.user = 1000;
        findings.place.gitlab = false;
        findings.answers.clear();
        for attempt in &mut findings.probe.attempts {
            attempt.obstacle = Some(Obstacle {
                reason: "not permitted".to_owned(),
                remedy: "a line".to_owned(),
            });
        }
        let text = render(&findings);
        for expected in [
            "\nchosen      none: a Dockerfile with RUN cannot be built here, one without can\n",
            "\nto get namespaces, one of\n  docker run     --security-opt seccomp=unconfined\n",
            "\nto get rootswap, one of\n  docker run     --user 0\n",
            "\nto get chroot, one of\n  docker run     --user 0\n",
            "\n  none is named here; `yadokari doctor REGISTRY` asks one\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in {text}");
        }
        assert!(findings.to_json()["chosen"].is_null());
    }

    #[test]
    fn sizes_are_given_in_the_unit_that_fits() {
        for (bytes, expected) in [
            (0, "0.0 B"),
            (1023, "1023.0 B"),
            (1 << 20, "1.0 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
