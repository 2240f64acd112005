//! What an image is built for.

use yadokari_dockerfile::suggest::nearest;
use yadokari_image::Platform;

use super::{Given, UsageError, nonempty};
use crate::flags::{self, Style};

/// Reads `--platform`, which kaniko calls `--custom-platform`, and in docker's style the variable that stands in for it.
pub(super) fn platforms(given: Given<'_>) -> Result<Vec<Platform>, UsageError> {
    let flag = nonempty(given.flags.kaniko.custom_platform.as_deref());
    let variable = given
        .environment
        .text(VARIABLE)
        .filter(|_| given.style == Style::Docker);
    let (by, line) = match (flag, variable) {
        (Some(line), _) => {
            let name = given.environment.typed(flags::PLATFORM);
            (format!("--{name}"), line)
        }
        (None, Some(line)) => (VARIABLE.to_owned(), line),
        (None, None) => return Ok(Vec::new()),
    };
    let wrong = |value: &str, reason| UsageError::Platform {
        given: by.clone(),
        value: value.to_owned(),
        reason,
    };
    let texts = line.split(',').map(str::trim);
    texts
        .filter(|text| !text.is_empty())
        .map(|text| buildable(text).map_err(|reason| wrong(text, reason)))
        .collect()
}

/// Reads a platform that an image can be built for.
fn buildable(text: &str) -> Result<Platform, String> {
    let platform = Platform::parse(text).map_err(|error| error.to_string())?;
    let Platform {
        os, architecture, ..
    } = &platform;
    if os != "linux" {
        return Err(format!("images for {os} cannot be built, only for linux"));
    }
    if ARCHITECTURES.contains(&architecture.as_str()) {
        return Ok(platform);
    }
    let meant = nearest(architecture, ARCHITECTURES);
    let meant = meant.map(|name| format!(" (did you mean `{name}`?)"));
    Err(format!(
        "unknown architecture `{architecture}`{}",
        meant.unwrap_or_default()
    ))
}

/// Docker's default for the flag.
const VARIABLE: &str = "DOCKER_DEFAULT_PLATFORM";

/// Those that there is a Linux for, in Go's words.
const ARCHITECTURES: [&str; 13] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_on_every_architecture_that_it_runs_on() {
        for text in ["linux/amd64/v3", "linux/armel", "aarch64", "linux/riscv64"] {
            assert!(buildable(text).is_ok(), "{text}");
        }
        let cases = [
            (
                "windows/amd64",
                "images for windows cannot be built, only for linux",
            ),
            (
                "macos/arm64",
                "images for darwin cannot be built, only for linux",
            ),
            (
                "linux/amd46",
                "unknown architecture `amd46` (did you mean `amd64`?)",
            ),
            ("linux/vax", "unknown architecture `vax`"),
        ];
        for (text, expected) in cases {
            assert_eq!(buildable(text).unwrap_err(), expected, "{text}");
        }
    }
}
