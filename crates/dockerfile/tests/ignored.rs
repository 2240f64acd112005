//! Contexts that the reference copied through ignore files: the same entries have to be left.

use serde_json::Value;
use std::collections::BTreeSet;
use yadokari_dockerfile::ignore::{Patterns, Visit};

const RECORD: &str = include_str!("data/ignored.jsonl");

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item.as_str().expect("a string"))
        .collect()
}

/// Walks the entries (directories end in a slash) and keeps what is not excluded, and the parents of that.
fn walk<'a>(
    patterns: &Patterns,
    entries: &[&'a str],
    directory: &str,
    visit: &Visit,
    kept: &mut BTreeSet<&'a str>,
) {
    for entry in entries.iter().filter(|entry| is_child(entry, directory)) {
        let path = entry.trim_end_matches('/');
        let here = patterns.visit(visit, path.as_bytes());
        assert_eq!(
            here.is_excluded(),
            patterns.excludes(path.as_bytes()).is_some()
        );
        let before = kept.len();
        if entry.ends_with('/')
            && (!here.is_excluded() || patterns.may_reinclude_below(path.as_bytes()))
        {
            walk(patterns, entries, entry, &here, kept);
        }
        if !here.is_excluded() || kept.len() > before {
            kept.insert(path);
        }
    }
}

fn is_child(entry: &str, directory: &str) -> bool {
    entry
        .strip_prefix(directory)
        .is_some_and(|rest| !rest.is_empty() && !rest.trim_end_matches('/').contains('/'))
}

#[test]
fn contexts_are_filtered_like_the_reference_does() {
    let mut seen = 0;
    for line in RECORD.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        let patterns =
            Patterns::parse(case["patterns"].as_str().expect("a string").as_bytes()).unwrap();
        let mut kept = BTreeSet::new();
        walk(
            &patterns,
            &strings(&case["paths"]),
            "",
            &Visit::default(),
            &mut kept,
        );
        assert_eq!(
            kept,
            strings(&case["included"]).into_iter().collect(),
            "{}",
            case["case"]
        );
        seen += 1;
    }
    assert!(seen > 15, "only {seen} contexts compared");
}
