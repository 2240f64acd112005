//! Options of checks: which rules are off, which are on, and whether they fail the build.

use super::Rule;
use crate::error::CheckOptionsError;
use crate::text::is_space;

/// What `# check=…` or the build argument `BUILDKIT_DOCKERFILE_CHECK` asks for. The default is every rule
/// that is not experimental, as warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Every rule is off that is not experimental.
    pub skip_all: bool,
    /// Names of rules that are off; unknown ones have no effect.
    pub skip: Vec<String>,
    /// Experimental rules are on.
    pub experimental_all: bool,
    /// Names of experimental rules that are on.
    pub experimental: Vec<String>,
    /// Warnings fail the build.
    pub error: bool,
}

impl CheckOptions {
    /// Reads options: up to three `;`-separated `skip=`, `experimental=` (`all` or a comma list) and
    /// `error=` (a boolean).
    ///
    /// # Errors
    ///
    /// If an option is unknown, has no value, or `error` is no boolean.
    pub fn parse(text: &str) -> Result<Self, CheckOptionsError> {
        let mut options = Self::default();
        let text = text.trim_matches(is_space);
        if !text.is_empty() {
            text.splitn(3, ';')
                .try_for_each(|option| options.add(option))?;
        }
        Ok(options)
    }

    /// Reads the options that comments right above an instruction hold. Those that cannot be read, and
    /// `error`, have no effect.
    pub(crate) fn from_comments(comments: &[String]) -> Self {
        let mut merged = Self::default();
        for comment in comments {
            let Some((key, value)) = comment.split_once('=') else {
                continue;
            };
            let is_check = key.trim_matches(is_space).eq_ignore_ascii_case("check");
            if let Some(options) = is_check.then(|| Self::parse(value).ok()).flatten() {
                merged.merge(options);
            }
        }
        merged
    }

    /// Says whether a rule that is not experimental is off.
    pub fn skips(&self, rule: Rule) -> bool {
        !rule.is_experimental()
            && (self.skip_all || self.skip.iter().any(|name| name == rule.name()))
    }

    /// Says whether an experimental rule is on.
    pub fn enables(&self, rule: Rule) -> bool {
        rule.is_experimental()
            && (self.experimental_all || self.experimental.iter().any(|name| name == rule.name()))
    }

    fn merge(&mut self, other: Self) {
        self.skip_all |= other.skip_all;
        self.skip.extend(other.skip);
        self.experimental_all |= other.experimental_all;
        self.experimental.extend(other.experimental);
    }

    fn add(&mut self, option: &str) -> Result<(), CheckOptionsError> {
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| CheckOptionsError::Unknown(option.to_owned()))?;
        let value = value.trim_matches(is_space);
        match key.trim_matches(is_space) {
            "skip" if value == "all" => self.skip_all = true,
            "skip" => self.skip = names(value),
            "experimental" if value == "all" => self.experimental_all = true,
            "experimental" => self.experimental = names(value),
            "error" => {
                let not_bool = || CheckOptionsError::NotBool {
                    option: option.to_owned(),
                    value: value.to_owned(),
                };
                self.error = parse_bool(value).ok_or_else(not_bool)?;
            }
            key => return Err(CheckOptionsError::Unknown(key.to_owned())),
        }
        Ok(())
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim_matches(is_space).to_owned())
        .collect()
}

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = CheckOptions::parse(" skip=A, B ;error=T;experimental=all").unwrap();
        assert_eq!(
            (options.skip, options.error, options.experimental_all),
            (vec!["A".to_owned(), "B".to_owned()], true, true)
        );
        assert_eq!(CheckOptions::parse("  "), Ok(CheckOptions::default()));
    }

    #[test]
    fn bad_options_are_named() {
        for (text, message) in [
            ("bogus", "invalid check option \"bogus\""),
            ("bogus=1", "invalid check option \"bogus\""),
            (
                "error=maybe",
                "failed to parse check option \"error=maybe\": strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            ("skip=a;", "invalid check option \"\""),
        ] {
            assert_eq!(CheckOptions::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn comments_above_hold_options() {
        let comments = [
            "check=skip=X".to_owned(),
            "words".to_owned(),
            "check=bogus".to_owned(),
            "check = error=true".to_owned(),
        ];
        let options = CheckOptions::from_comments(&comments);
        assert_eq!((options.skip, options.error), (vec!["X".to_owned()], false));
    }
}
