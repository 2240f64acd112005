//! Every Dockerfile of the recorded reference builds is parsed; what parsing and expansion alone decide is
//! compared with the record: errors with their lines, warnings, and the history rows of the last stage.

mod simulate;

use serde_json::Value;
use yadokari_dockerfile::{CheckOptions, ParseError, Parsed, Rule, parse_with_check};

const RECORD: &str = include_str!("data/recorded.jsonl");

/// Rules that need more than the file.
const LATER: [Rule; 14] = [
    Rule::LegacyKeyValueFormat,
    Rule::JSONArgsRecommended,
    Rule::UndefinedArgInFrom,
    Rule::UndefinedVar,
    Rule::InvalidDefaultArgInFrom,
    Rule::WorkdirRelativePath,
    Rule::MultipleInstructionsDisallowed,
    Rule::InvalidBaseImagePlatform,
    Rule::RedundantTargetPlatform,
    Rule::FromPlatformFlagConstDisallowed,
    Rule::SecretsUsedInArgOrEnv,
    Rule::CopyIgnoredFile,
    Rule::ExposeProtoCasing,
    Rule::ExposeInvalidFormat,
];

struct Case(Value);

impl Case {
    fn all() -> Vec<Self> {
        RECORD
            .lines()
            .map(|line| Self(serde_json::from_str(line).expect("JSON")))
            .collect()
    }

    fn name(&self) -> &str {
        self.0["case"].as_str().expect("a string")
    }

    fn bytes(&self) -> Vec<u8> {
        match self.0["dockerfile"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => self.0["bytes"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|b| u8::try_from(b.as_u64().expect("a number")).expect("a byte"))
                .collect(),
        }
    }

    fn parse(&self) -> Result<Parsed, ParseError> {
        let check = self.0["args"]["BUILDKIT_DOCKERFILE_CHECK"]
            .as_str()
            .map(|text| CheckOptions::parse(text).expect("options"));
        parse_with_check(&self.bytes(), check)
    }

    fn error(&self) -> Option<(&str, Option<u64>, Option<u64>)> {
        let error = self.0.get("error")?;
        Some((
            error["message"].as_str()?,
            error["line"].as_u64(),
            error["end"].as_u64(),
        ))
    }
}

fn is_about_parsing(message: &str) -> bool {
    const BARE: [&str; 14] = [
        "the Dockerfile cannot be empty",
        "file with no instructions",
        "dockerfile contains no stages to build",
        "no build stage in current context",
        "dockerfile line greater",
        "only one ",
        "invalid escape token",
        "failed to parse check options",
        "unterminated heredoc",
        "ENV must have",
        "LABEL must have",
        "Syntax error - ",
        "when using JSON",
        "dockerfile parse error",
    ];
    BARE.iter().any(|start| message.starts_with(start))
}

#[test]
fn errors_are_those_of_the_reference() {
    let mut seen = 0;
    for case in Case::all() {
        let Some((message, line, end)) = case
            .error()
            .filter(|(message, ..)| is_about_parsing(message))
        else {
            continue;
        };
        seen += 1;
        let error = case.parse().expect_err(case.name());
        assert_eq!(error.to_string(), message, "{}", case.name());
        if let Some(line) = line {
            let span = error
                .span
                .unwrap_or_else(|| panic!("{}: no place", case.name()));
            let expected = (line, end.unwrap_or(line));
            assert_eq!(
                (span.first_line as u64, span.last_line as u64),
                expected,
                "{}",
                case.name()
            );
        }
    }
    assert!(seen > 60, "only {seen} errors compared");
}

#[test]
fn everything_else_parses() {
    for case in Case::all() {
        if case
            .error()
            .is_some_and(|(message, ..)| is_about_parsing(message))
        {
            continue;
        }
        if let Err(error) = case.parse() {
            panic!("{}: {error}", case.name());
        }
    }
}

#[test]
fn warnings_are_those_of_the_reference() {
    let mut seen = 0;
    for case in Case::all() {
        let (Some(recorded), Ok(parsed)) = (case.0["warnings"].as_array(), case.parse()) else {
            continue;
        };
        let later = |rule: &str| LATER.iter().any(|later| later.name() == rule);
        let mut expected: Vec<_> = recorded
            .iter()
            .map(|warning| {
                (
                    warning[0].as_str().expect("a string"),
                    warning[1].as_u64().expect("a number"),
                    warning[2].as_str().expect("a string"),
                )
            })
            .filter(|(rule, ..)| !later(rule))
            .collect();
        let kept = parsed.dockerfile.check.filter(parsed.warnings.clone());
        let mut found: Vec<_> = kept
            .iter()
            .map(|warning| {
                (
                    warning.rule.name(),
                    warning.span.first_line as u64,
                    warning.message.as_str(),
                )
            })
            .collect();
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{}", case.name());
        seen += found.len();
    }
    assert!(seen > 20, "only {seen} warnings compared");
}

#[test]
fn cases_without_warnings_have_none() {
    for case in Case::all() {
        if case.0["lint"].is_null() || !case.0["warnings"].is_null() {
            continue;
        }
        if let Ok(parsed) = case.parse() {
            assert_eq!(
                parsed.dockerfile.check.filter(parsed.warnings.clone()),
                [],
                "{}",
                case.name()
            );
        }
    }
}

#[test]
fn history_rows_are_those_of_the_reference() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in Case::all() {
        let (Some(recorded), Ok(parsed)) = (case.0["history"].as_array(), case.parse()) else {
            continue;
        };
        let recorded: Vec<&str> = recorded.iter().filter_map(Value::as_str).collect();
        let Some(rows) = simulate::history(&parsed.dockerfile, &case.0) else {
            continue;
        };
        compared += rows.len();
        if !recorded.ends_with(&rows.iter().map(String::as_str).collect::<Vec<_>>()) {
            wrong.push(format!(
                "{}\n  got      {rows:?}\n  recorded {recorded:?}",
                case.name()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 300, "only {compared} rows compared");
}
