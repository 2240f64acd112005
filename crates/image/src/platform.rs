//! [`Platform`]: operating system, architecture and variant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// The architecture in Go's words, such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// The operating system in Go's words, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// The version of the operating system; only Windows images have one.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features the image needs; only Windows images have some.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "crate::config::null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// The variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// There are no parts, or more than three.
    #[error("\"{text}\": cannot parse platform specifier: invalid argument")]
    Parts {
        /// The text as given.
        text: String,
    },
    /// A part has a character that does not belong there.
    #[error(
        "\"{component}\" is an invalid component of \"{text}\": platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument"
    )]
    Component {
        /// The part that is wrong.
        component: String,
        /// The text as given.
        text: String,
    },
    /// A single word is neither a known operating system nor a known architecture.
    #[error("\"{text}\": unknown operating system or architecture: invalid argument")]
    Unknown {
        /// The text as given.
        text: String,
    },
}

impl Platform {
    /// Names a platform without a variant; the names are taken as they are.
    #[must_use]
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: None,
            os_version: None,
            os_features: Vec::new(),
        }
    }

    /// The platform this program was compiled for, with `linux` as operating system.
    #[must_use]
    pub fn host() -> Self {
        let (architecture, variant) = normal_architecture(std::env::consts::ARCH, "");
        Self {
            variant,
            ..Self::new("linux", architecture)
        }
    }

    /// Reads `os/architecture[/variant]`, or one word of the two, and normalises it.
    ///
    /// What is left out is that of [`Platform::host`]. `linux/arm64/v8` becomes
    /// `linux/arm64`, `aarch64` the same, `linux/arm` becomes `linux/arm/v7`. An OS
    /// version follows the OS in parentheses: `windows(10.0.17763)/amd64`.
    ///
    /// # Errors
    ///
    /// [`PlatformError`] with the words of containerd.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || text.is_empty() {
            return Err(PlatformError::Parts {
                text: text.to_owned(),
            });
        }
        let (first, os_version) = split_version(parts[0]);
        for component in [first, os_version.unwrap_or("0")].iter().chain(&parts[1..]) {
            check_component(component, text)?;
        }
        let mut platform = match parts.get(1) {
            Some(architecture) => Self::normalised(
                first,
                architecture,
                parts.get(2).copied().unwrap_or_default(),
            ),
            None => Self::from_word(first, text)?,
        };
        platform.os_version = os_version.map(str::to_owned);
        Ok(platform)
    }

    /// How well an image made for `offered` runs on this platform: 0 is an exact match, more is
    /// worse, `None` does not run.
    ///
    /// An older variant of the same architecture runs on a newer one.
    #[must_use]
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        let variant = |platform: &Self| platform.variant.clone().unwrap_or_default();
        let wanted = Self::normalised(&self.os, &self.architecture, &variant(self));
        let offered_plain = Self::normalised(&offered.os, &offered.architecture, &variant(offered));
        if wanted.os != offered_plain.os || !self.accepts_version(offered) {
            return None;
        }
        runnable(&wanted)
            .iter()
            .position(|(architecture, variant)| {
                *architecture == offered_plain.architecture && *variant == offered_plain.variant
            })
    }

    fn accepts_version(&self, offered: &Self) -> bool {
        match (&self.os_version, &offered.os_version) {
            (Some(wanted), Some(offered)) => {
                let build = |version: &str| -> Vec<String> {
                    version.split('.').take(3).map(str::to_owned).collect()
                };
                build(wanted) == build(offered)
            }
            _ => true,
        }
    }

    fn normalised(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = normal_architecture(architecture, variant);
        Self {
            variant,
            ..Self::new(normal_os(os), architecture)
        }
    }

    fn from_word(word: &str, text: &str) -> Result<Self, PlatformError> {
        let host = Self::host();
        let os = normal_os(word);
        if OPERATING_SYSTEMS.contains(&os.as_str()) {
            return Ok(Self { os, ..host });
        }
        let platform = Self::normalised(&host.os, word, "");
        if ARCHITECTURES.contains(&platform.architecture.as_str()) {
            return Ok(platform);
        }
        Err(PlatformError::Unknown {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        Self::parse(text)
    }
}

fn split_version(first: &str) -> (&str, Option<&str>) {
    first
        .strip_suffix(')')
        .and_then(|inner| inner.split_once('('))
        .map_or((first, None), |(os, version)| (os, Some(version)))
}

fn check_component(component: &str, text: &str) -> Result<(), PlatformError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if component.is_empty() || !component.bytes().all(allowed) {
        return Err(PlatformError::Component {
            component: component.to_owned(),
            text: text.to_owned(),
        });
    }
    Ok(())
}

fn normal_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        os => os.to_owned(),
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, Option<String>) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        ("powerpc64", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        (architecture, variant) => (architecture, variant),
    };
    let variant = (!variant.is_empty()).then(|| variant.to_owned());
    (architecture.to_owned(), variant)
}

/// Architectures and variants that run on `platform`, best first.
fn runnable(platform: &Platform) -> Vec<(String, Option<String>)> {
    let architecture = &platform.architecture;
    let level = platform
        .variant
        .as_deref()
        .and_then(|variant| variant.strip_prefix('v'))
        .and_then(|level| level.parse::<u32>().ok());
    let exact = (architecture.clone(), platform.variant.clone());
    let oldest = match architecture.as_str() {
        "arm" => 5,
        "amd64" => 2,
        "arm64" => 9,
        _ => return vec![exact],
    };
    let mut list = vec![exact];
    let level = level.unwrap_or(oldest).min(oldest + 8);
    list.extend(
        (oldest..level)
            .rev()
            .map(|older| (architecture.clone(), Some(format!("v{older}")))),
    );
    if architecture != "arm" && platform.variant.is_some() {
        list.push((architecture.clone(), None));
    }
    list
}

const OPERATING_SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
];

const ARCHITECTURES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_normalised() {
        let cases = [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/5", "linux/arm/v5"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
            ("foo/bar/baz", "foo/bar/baz"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Platform::parse(text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        assert_eq!(Platform::parse("linux").unwrap(), Platform::host());
    }

    #[test]
    fn wrong_platforms_are_refused() {
        for text in [
            "",
            "/",
            "a/b/c/d",
            "linux/",
            "linux/a b",
            "vax",
            "linux(/amd64",
            "linux()/amd64",
        ] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn older_variants_run_on_newer_machines_only() {
        let rank = |wanted: &str, offered: &str| {
            Platform::parse(wanted)
                .unwrap()
                .rank(&Platform::parse(offered).unwrap())
        };
        assert_eq!(rank("linux/arm/v7", "linux/arm/v7"), Some(0));
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
        assert_eq!(rank("linux/arm64", "linux/arm64/v8"), Some(0));
    }

    #[test]
    fn a_huge_variant_costs_nothing() {
        let wanted = Platform::parse("linux/arm/v4294967295").unwrap();
        assert!(runnable(&wanted).len() < 20);
    }

    #[test]
    fn json_uses_the_dotted_names() {
        let text =
            r#"{"architecture":"amd64","os":"windows","os.version":"10","os.features":["win32k"]}"#;
        let platform: Platform = serde_json::from_str(text).unwrap();
        assert_eq!(platform.os_version.as_deref(), Some("10"));
        assert_eq!(serde_json::to_string(&platform).unwrap(), text);
        let null = r#"{"architecture":"a","os":"b","os.features":null}"#;
        assert!(
            serde_json::from_str::<Platform>(null)
                .unwrap()
                .os_features
                .is_empty()
        );
    }
}
