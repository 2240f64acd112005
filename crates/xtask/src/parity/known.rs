//! The cases that differ from their records on purpose.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Case by case the reason for its difference.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads `"topic/case" = "reason"` lines; the file is TOML, of which no more is allowed here than that.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut known = BTreeMap::new();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let words = line
                .split_once('=')
                .and_then(|(case, reason)| Some((quoted(case)?, quoted(reason)?)));
            let (case, reason) =
                words.with_context(|| format!("not `\"topic/case\" = \"reason\"`: {line}"))?;
            ensure!(
                case.contains('/') && !reason.is_empty(),
                "not `\"topic/case\" = \"reason\"`: {line}"
            );
            known.insert(case.to_string(), reason.to_string());
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

fn quoted(text: &str) -> Option<&str> {
    text.trim().strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_case_has_a_reason() {
        let known =
            Known::parse("# why\n\n\"run/a\" = \"an accident of the reference\"\n").unwrap();
        assert!(known.has("run/a") && !known.has("run/b"));
        for bad in [
            "run/a = \"x\"",
            "\"run/a\"",
            "\"run/a\" = \"\"",
            "\"a\" = \"x\"",
            "[known]",
        ] {
            assert!(Known::parse(bad).is_err(), "{bad}");
        }
    }
}
