//! The cases that differ from their records on purpose.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Case by case the reason for its difference.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    /// Reads the sections `everywhere` and `place` of the list.
    pub(super) fn read(path: &Path, place: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, place).with_context(|| format!("in {}", path.display()))
    }

    /// Reads `[section]` and `"topic/case" = "reason"` lines; the file is TOML, of which no more is allowed than that.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self> {
        let (mut known, mut counts) = (BTreeMap::new(), false);
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            if let Some(section) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                ensure!(
                    SECTIONS.contains(&section),
                    "there is no section `{section}`"
                );
                counts = section == EVERYWHERE || section == place;
                continue;
            }
            let words = line
                .split_once('=')
                .and_then(|(case, reason)| Some((quoted(case)?, quoted(reason)?)));
            let (case, reason) =
                words.with_context(|| format!("not `\"topic/case\" = \"reason\"`: {line}"))?;
            ensure!(
                case.contains('/') && !reason.is_empty(),
                "not `\"topic/case\" = \"reason\"`: {line}"
            );
            if counts {
                known.insert(case.to_string(), reason.to_string());
            }
        }
        Ok(Self(known))
    }

    pub(super) fn has(&self, case: &str) -> bool {
        self.0.contains_key(case)
    }

    pub(super) fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The section that counts for every place.
const EVERYWHERE: &str = "everywhere";

/// The sections a list may have: this one, and the places.
const SECTIONS: &[&str] = &[EVERYWHERE, "machine", "container"];

fn quoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_case_has_a_reason_and_a_place() {
        let list = "# why\n[everywhere]\n\n\"run/a\" = \"an accident of the reference\"\n[container]\n\"run/b\" = \"no git\"\n";
        let found = |place: &str| {
            Known::parse(list, place)
                .unwrap()
                .cases()
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(found("machine"), ["run/a"]);
        assert_eq!(found("container"), ["run/a", "run/b"]);
        for bad in [
            "run/a = \"x\"",
            "\"run/a\"",
            "\"run/a\" = \"\"",
            "\"a\" = \"x\"",
            "[known]",
        ] {
            assert!(Known::parse(bad, "machine").is_err(), "{bad}");
        }
    }
}
