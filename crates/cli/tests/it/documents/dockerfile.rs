//! The tables of `docs/dockerfile.md`, compared with what the parser knows.

use std::collections::{BTreeMap, BTreeSet};

use yadokari_dockerfile::instruction::{MountKind, flags, keywords};

use super::workspace;

/// The rows of the table below a heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(workspace().join("docs/dockerfile.md")).unwrap();
    let (_, section) = page.split_once(&format!("## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        row.split('|')
            .skip(1)
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

/// The words in backquotes.
fn names(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_instruction_has_a_row() {
    let listed: BTreeSet<String> = table("Instructions")
        .iter()
        .flat_map(|row| names(&row[0]))
        .collect();
    let known: BTreeSet<String> = keywords().map(str::to_owned).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_flag_has_a_row_that_names_its_instructions() {
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table("Flags of instructions") {
        for flag in names(&row[0]) {
            listed.entry(flag).or_default().extend(names(&row[1]));
        }
    }
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for keyword in keywords() {
        for flag in flags(keyword) {
            known
                .entry(format!("--{flag}"))
                .or_default()
                .insert(keyword.to_owned());
        }
    }
    assert_eq!(listed, known);
}

#[test]
fn every_type_of_mount_has_a_row() {
    let listed: Vec<String> = table("Mounts of RUN")
        .iter()
        .flat_map(|row| names(&row[0]))
        .collect();
    assert_eq!(listed, MountKind::ALL.map(|kind| kind.name().to_owned()));
}
