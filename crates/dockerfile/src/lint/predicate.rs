//! Decisions of rules that depend on more than the text of one instruction.

use super::Lint;
use crate::expand::Expanded;
use crate::value::port::PortSpec;

const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Says whether the name of an ARG or ENV looks like that of a secret.
///
/// ```
/// # use yadokari_dockerfile::lint::predicate::looks_secret;
/// assert!(looks_secret("AWS_SECRET_ACCESS"));
/// assert!(!looks_secret("PUBLIC_KEY"));
/// assert!(!looks_secret("KEYBOARD"));
/// ```
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}

/// Says whether `FROM --platform` only repeats the default: its value is `$TARGETPLATFORM` alone.
pub fn repeats_target_platform(platform: &Expanded, target_platform: &str) -> bool {
    platform.used == ["TARGETPLATFORM"]
        && platform.undefined.is_empty()
        && platform.value == target_platform
}

/// Says whether `FROM --platform` has a constant value that the stage's name does not explain.
pub fn has_unexplained_platform(
    platform: &Expanded,
    stage_name: Option<&str>,
    os: &str,
    architecture: &str,
) -> bool {
    let constant = platform.used.is_empty() && platform.undefined.is_empty();
    let explained = stage_name.is_some_and(|name| name.contains(os) || name.contains(architecture));
    constant && !explained
}

/// The warnings about one expanded EXPOSE word.
pub fn port_lints(word: &str, spec: &PortSpec) -> Vec<Lint> {
    let mut lints = Vec::new();
    if spec.has_uppercase_protocol {
        lints.push(Lint::expose_proto_casing(word));
    }
    if spec.has_host_part {
        lints.push(Lint::expose_invalid_format(word));
    }
    lints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_parts() {
        for (name, expected) in [
            ("MY_PASSWORD", true),
            ("API_KEY", true),
            ("auth", true),
            ("aws_secret_access_key", true),
            ("TOKEN_FILE", false),
            ("SECRET_VERSION", false),
            ("MYTOKEN", false),
        ] {
            assert_eq!(looks_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn platforms_are_judged_by_what_they_are_made_of() {
        let platform = |value: &str, used: &[&str]| Expanded {
            value: value.into(),
            used: used.iter().map(|name| (*name).to_owned()).collect(),
            ..Expanded::default()
        };
        assert!(repeats_target_platform(
            &platform("linux/amd64", &["TARGETPLATFORM"]),
            "linux/amd64"
        ));
        assert!(!repeats_target_platform(
            &platform("linux/amd64", &["BUILDPLATFORM"]),
            "linux/amd64"
        ));
        let constant = platform("linux/arm64", &[]);
        assert!(has_unexplained_platform(&constant, None, "linux", "arm64"));
        assert!(!has_unexplained_platform(
            &constant,
            Some("build-arm64"),
            "linux",
            "arm64"
        ));
        assert!(!has_unexplained_platform(
            &platform("linux/arm64", &["X"]),
            None,
            "linux",
            "arm64"
        ));
    }
}
