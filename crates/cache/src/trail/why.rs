//! What is different about a step since an earlier build.

use std::collections::BTreeMap;

use super::{Fact, FileFact, TrailStep};

/// Says what is different about a step since an earlier build; nothing if all that is known is the same.
///
/// `before` is what that build knew of it. Where only what is below the step differs, that is for the caller to
/// see: it knows which of the steps before this one miss.
pub fn why(now: &TrailStep, before: &TrailStep) -> Vec<String> {
    let mut reasons = Vec::new();
    if now.title != before.title {
        reasons.push(format!("the instruction was `{}`", before.title));
    }
    reasons.extend(changed_files(&now.files, &before.files));
    reasons.extend(changed_facts(
        &now.facts,
        &before.facts,
        &["files", "mounted files", COMMAND],
    ));
    if reasons.is_empty() {
        // Files are named where they are known, and only said to differ where they are not.
        reasons.extend(changed_facts(&now.facts, &before.facts, &[]));
    }
    let hidden = now.facts.iter().filter(|fact| fact.value.is_none());
    let hidden: Vec<_> = hidden.map(|fact| fact.name.as_str()).collect();
    if reasons.is_empty() && now.key != before.key && !hidden.is_empty() {
        reasons.push(format!(
            "a hidden value may have changed: {}",
            hidden.join(", ")
        ));
    }
    reasons
}

/// What a command line is called among facts: its change shows in the instruction already.
const COMMAND: &str = "command";

/// Says which facts differ.
pub fn changed(now: &[Fact], before: &[Fact]) -> Vec<String> {
    changed_facts(now, before, &[])
}

/// Differences of facts with other names than these. Of values that are digests only the fact is told.
fn changed_facts(now: &[Fact], before: &[Fact], but: &[&str]) -> Vec<String> {
    let old: BTreeMap<_, _> = before
        .iter()
        .map(|fact| (&fact.name, &fact.value))
        .collect();
    let new: BTreeMap<_, _> = now.iter().map(|fact| (&fact.name, &fact.value)).collect();
    let is_told = |name: &String| !but.contains(&name.as_str());
    let mut reasons = Vec::new();
    for (name, value) in new.iter().filter(|(name, _)| is_told(name)) {
        match (old.get(name), value) {
            (None, Some(value)) if value.starts_with('#') => {
                reasons.push(format!("{name} is new"));
            }
            (None, Some(value)) => reasons.push(format!("{name} is new: {value}")),
            (None, None) => reasons.push(format!("{name} is new (value hidden)")),
            (Some(Some(old)), Some(value)) if old != value && value.starts_with('#') => {
                reasons.push(format!("{name} changed"));
            }
            (Some(Some(old)), Some(value)) if old != value => {
                reasons.push(format!("{name} was {old}, is {value}"));
            }
            _ => {}
        }
    }
    let gone = old
        .keys()
        .filter(|name| is_told(name) && !new.contains_key(*name));
    reasons.extend(gone.map(|name| format!("{name} is gone")));
    if reasons.is_empty() && new.len() == old.len() && is_reordered(now, before) {
        reasons.push("the same values are in another order".to_owned());
    }
    reasons
}

fn is_reordered(now: &[Fact], before: &[Fact]) -> bool {
    let names = |facts: &[Fact]| {
        facts
            .iter()
            .map(|fact| fact.name.clone())
            .collect::<Vec<_>>()
    };
    names(now) != names(before)
}

fn changed_files(now: &[FileFact], before: &[FileFact]) -> Vec<String> {
    let old: BTreeMap<_, _> = before
        .iter()
        .map(|file| (&file.path, &file.digest))
        .collect();
    let new: BTreeMap<_, _> = now.iter().map(|file| (&file.path, &file.digest)).collect();
    let mut reasons = Vec::new();
    for (path, digest) in &new {
        match old.get(path) {
            None => reasons.push(format!("{path} is new")),
            Some(other) if other != digest => reasons.push(format!("{path} changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    reasons.extend(gone.map(|path| format!("{path} is gone")));
    let more = reasons.len().saturating_sub(MOST_FILES);
    if more > 0 {
        reasons.truncate(MOST_FILES);
        reasons.push(format!("and {more} more files"));
    }
    reasons
}

/// How many files are named.
const MOST_FILES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str, value: &str) -> Fact {
        Fact {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }
    }

    fn step(facts: Vec<Fact>, files: &[(&str, &str)]) -> TrailStep {
        let file = |(path, digest): &(&str, &str)| FileFact {
            path: (*path).to_owned(),
            digest: (*digest).to_owned(),
        };
        let mut step = TrailStep {
            title: "RUN make".to_owned(),
            facts,
            files: files.iter().map(file).collect(),
            ..TrailStep::default()
        };
        step.key = format!("{step:?}");
        step
    }

    #[test]
    fn variables_and_files_that_differ_are_named() {
        let before = step(
            vec![
                fact("variable A", "1"),
                fact("variable B", "1"),
                fact("files", "x"),
            ],
            &[("src/a", "1"), ("src/b", "1")],
        );
        let now = step(
            vec![
                fact("variable A", "2"),
                fact("variable C", "1"),
                fact("files", "y"),
            ],
            &[("src/a", "2"), ("src/c", "1")],
        );
        assert_eq!(
            why(&now, &before),
            [
                "src/a changed",
                "src/c is new",
                "src/b is gone",
                "variable A was 1, is 2",
                "variable C is new: 1",
                "variable B is gone"
            ]
        );
        assert_eq!(why(&now, &now), [""; 0]);
    }

    #[test]
    fn files_nobody_listed_are_said_to_differ() {
        let (before, now) = (
            step(vec![fact("files", "#x")], &[]),
            step(vec![fact("files", "#y")], &[]),
        );
        assert_eq!(why(&now, &before), ["files changed"]);
    }

    #[test]
    fn a_hidden_value_is_suspected_when_nothing_else_differs() {
        let secret = |key: &str| TrailStep {
            key: key.to_owned(),
            facts: vec![Fact {
                name: "variable NPM_TOKEN".to_owned(),
                value: None,
            }],
            ..TrailStep::default()
        };
        assert_eq!(
            why(&secret("1"), &secret("2")),
            ["a hidden value may have changed: variable NPM_TOKEN"]
        );
        assert_eq!(why(&secret("1"), &secret("1")), [""; 0]);
    }

    #[test]
    fn an_order_that_changed_is_told() {
        let order = |names: [&str; 2]| step(names.map(|name| fact(name, "1")).to_vec(), &[]);
        assert_eq!(
            why(
                &order(["variable B", "variable A"]),
                &order(["variable A", "variable B"])
            ),
            ["the same values are in another order"]
        );
    }

    #[test]
    fn many_files_are_counted() {
        let paths: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "1")).collect();
        let reasons = why(&step(Vec::new(), &files), &step(Vec::new(), &[]));
        assert_eq!(reasons.len(), 6);
        assert_eq!(reasons[5], "and 4 more files");
    }
}
