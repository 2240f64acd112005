//! Build checks: the rules, their messages, and which of them are on.
//!
//! Parsing emits what it alone can decide. For the rest, [`Lint`] has a constructor per rule that makes the
//! message, and [`predicate`] the decisions that are more than a comparison.

mod check;
pub mod predicate;
mod rules;

pub use check::CheckOptions;
pub(crate) use check::parse_bool;
pub use rules::{Lint, Rule};

use crate::span::Span;

/// A check that fired somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: Rule,
    /// What to tell the user.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Whether a comment above the instruction turns the rule on.
    enabled_here: bool,
}

impl Warning {
    /// Makes a warning that no comment influences.
    pub fn new(lint: Lint, span: Span) -> Self {
        Self {
            rule: lint.rule,
            message: lint.message,
            span,
            enabled_here: false,
        }
    }

    /// Makes a warning, unless the options of comments above turn its rule off.
    pub fn local(lint: Lint, span: Span, check: &CheckOptions) -> Option<Self> {
        if check.skips(lint.rule) {
            return None;
        }
        let enabled_here = check.enables(lint.rule);
        Some(Self {
            enabled_here,
            ..Self::new(lint, span)
        })
    }
}

impl std::fmt::Display for Warning {
    /// `Rule: message (line N)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} (line {})",
            self.rule, self.message, self.span.first_line
        )
    }
}

/// Warnings that an error takes along. One pointer wide, since errors are returned everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Earlier(Option<Box<Found>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    warnings: Vec<Warning>,
}

impl From<Vec<Warning>> for Earlier {
    fn from(warnings: Vec<Warning>) -> Self {
        let any = !warnings.is_empty();
        Self(any.then(|| Box::new(Found { warnings })))
    }
}

impl std::ops::Deref for Earlier {
    type Target = [Warning];

    fn deref(&self) -> &[Warning] {
        self.0.as_ref().map_or(&[], |found| &found.warnings)
    }
}

/// Checks fired in a build that treats them as errors, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lint violation found for rules: {}", .0.iter().map(|rule| rule.name()).collect::<Vec<_>>().join(", "))]
pub struct Violations(pub Vec<Rule>);

impl CheckOptions {
    /// Keeps the warnings whose rules are on.
    pub fn filter(&self, warnings: impl IntoIterator<Item = Warning>) -> Vec<Warning> {
        warnings
            .into_iter()
            .filter(|warning| self.keeps(warning))
            .collect()
    }

    /// Says whether a warning is shown.
    pub fn keeps(&self, warning: &Warning) -> bool {
        if warning.rule.is_experimental() {
            return warning.enabled_here || self.enables(warning.rule);
        }
        !self.skips(warning.rule)
    }

    /// Turns warnings (already filtered) into an error, if the options ask for that.
    ///
    /// # Errors
    ///
    /// If there are warnings and they count as errors.
    pub fn verdict(&self, warnings: &[Warning]) -> Result<(), Violations> {
        let mut rules: Vec<Rule> = warnings.iter().map(|warning| warning.rule).collect();
        rules.sort_by_key(|rule| rule.name());
        rules.dedup();
        if self.error && !rules.is_empty() {
            Err(Violations(rules))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_decide_what_is_shown_and_what_fails() {
        let options = CheckOptions::parse("skip=StageNameCasing;error=true").unwrap();
        let warnings = [
            Lint::stage_name_casing("A"),
            Lint::maintainer_deprecated(),
            Lint::invalid_definition_description("ARG", "x"),
        ]
        .map(|lint| Warning::new(lint, Span::line(3)));
        let kept = options.filter(warnings);
        assert_eq!(
            kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)"
            ]
        );
        assert_eq!(
            options.verdict(&kept).unwrap_err().to_string(),
            "lint violation found for rules: MaintainerDeprecated"
        );
        assert!(CheckOptions::default().verdict(&kept).is_ok());
    }

    #[test]
    fn violations_are_named_once_in_the_order_of_their_names() {
        let warnings = [
            Lint::stage_name_casing("A"),
            Lint::maintainer_deprecated(),
            Lint::stage_name_casing("B"),
        ]
        .map(|lint| Warning::new(lint, Span::line(1)));
        let options = CheckOptions::parse("error=true").unwrap();
        assert_eq!(
            options.verdict(&warnings).unwrap_err().to_string(),
            "lint violation found for rules: MaintainerDeprecated, StageNameCasing"
        );
    }

    #[test]
    fn a_comment_turns_rules_off_and_on() {
        let here = CheckOptions::parse("skip=StageNameCasing;experimental=all").unwrap();
        assert_eq!(
            Warning::local(Lint::stage_name_casing("A"), Span::line(1), &here),
            None
        );
        let warning = Warning::local(
            Lint::invalid_definition_description("ARG", "x"),
            Span::line(1),
            &here,
        )
        .unwrap();
        assert!(CheckOptions::default().keeps(&warning));
    }
}
