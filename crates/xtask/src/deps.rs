//! `cargo xtask deps`: crates stand in rows, and know only the rows above their own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use yadokari_testkit::{cache, process};

use crate::cargo::cargo;

/// Each crate and its row. A crate may depend on every crate of a smaller row.
const ROWS: &[(&str, u8)] = &[
    ("yadokari-image", 0),
    ("yadokari-dockerfile", 0),
    ("yadokari-tree", 0),
    ("yadokari-plan", 1),
    ("yadokari-layer", 1),
    ("yadokari-rootfs", 2),
    ("yadokari-sandbox", 2),
    ("yadokari-registry", 2),
    ("yadokari-store", 2),
    ("yadokari-context", 2),
    ("yadokari-cache", 3),
    ("yadokari-build", 4),
    ("yadokari", 5),
    ("yadokari-testkit", DEVELOPMENT),
    ("xtask", DEVELOPMENT),
];

/// The row of crates that are no part of the product.
const DEVELOPMENT: u8 = 9;

/// Edges within a row, with the reason beside each.
const EXCEPTIONS: &[(&str, &str)] = &[
    // A context directory becomes a tree by the same scan as a root filesystem.
    ("yadokari-context", "yadokari-rootfs"),
    // Chores use the test parts.
    ("xtask", "yadokari-testkit"),
];

/// External crates that only some crates may use, and which.
const RESERVED: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "yadokari-registry",
            "yadokari-store",
            "yadokari-context",
            "yadokari-cache",
            "yadokari-build",
            "yadokari",
        ],
    ),
    ("anyhow", &["yadokari", "yadokari-testkit", "xtask"]),
    ("clap", &["yadokari", "xtask"]),
];

/// The crates that may hold unsafe code.
const UNSAFE: &[&str] = &["sandbox", "rootfs"];

/// Prints every edge and file that breaks a rule, and fails if there is one.
pub(crate) fn run() -> Result<()> {
    let said = process::run(&mut cargo(&[
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--offline",
    ]))?;
    let metadata: Value = serde_json::from_str(&said)?;
    let mut problems = Vec::new();
    for package in metadata["packages"]
        .as_array()
        .context("metadata without packages")?
    {
        problems.extend(problems_of(package));
    }
    problems.extend(unsafe_files(&cache::workspace().join("crates"))?);
    for problem in &problems {
        eprintln!("{problem}");
    }
    ensure!(
        problems.is_empty(),
        "{} dependency rules are broken",
        problems.len()
    );
    println!("deps: every edge is in the table");
    Ok(())
}

/// What is wrong with the dependencies of one package of `cargo metadata`.
fn problems_of(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let Some(row) = row(name) else {
        return vec![format!("{name} has no row in the table")];
    };
    let dependencies = package["dependencies"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let problem = |dependency: &Value| {
        let other = dependency["name"].as_str().unwrap_or_default();
        let development = dependency["kind"].as_str() == Some("dev");
        edge_problem((name, row), other, development)
    };
    dependencies.iter().filter_map(problem).collect()
}

fn edge_problem((name, row): (&str, u8), other: &str, development: bool) -> Option<String> {
    if let Some((_, users)) = RESERVED.iter().find(|(reserved, _)| *reserved == other) {
        let broken = !development && !users.contains(&name);
        return broken.then(|| {
            format!(
                "{name} may not use {other}, which is for {}",
                users.join(", ")
            )
        });
    }
    let other_row = self::row(other)?;
    let tests_use_parts = development && other == "yadokari-testkit";
    let allowed = other_row < row || tests_use_parts || EXCEPTIONS.contains(&(name, other));
    (!allowed).then(|| format!("{name} (row {row}) may not depend on {other} (row {other_row})"))
}

fn row(name: &str) -> Option<u8> {
    ROWS.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, row)| *row)
}

/// Source files outside the crates of [`UNSAFE`] that lift the lint on unsafe code.
fn unsafe_files(crates: &Path) -> Result<Vec<String>> {
    let lint = concat!("unsafe", "_code");
    let mut problems = Vec::new();
    let mut folders = vec![crates.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?
        {
            let path = entry?.path();
            let excused = UNSAFE
                .iter()
                .any(|name| path.starts_with(crates.join(name)));
            if path.is_dir() && !path.is_symlink() && !excused {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && std::fs::read_to_string(&path)?.contains(lint)
            {
                problems.push(format!("{} lifts the lint on unsafe code", path.display()));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_point_up_the_rows() {
        let cases = [
            ("yadokari-layer", "yadokari-tree", false, true),
            ("yadokari-tree", "yadokari-layer", false, false),
            ("yadokari-tree", "yadokari-image", false, false),
            ("yadokari-context", "yadokari-rootfs", false, true),
            ("yadokari-rootfs", "yadokari-context", false, false),
            ("yadokari", "yadokari-build", false, true),
            ("yadokari", "yadokari-testkit", true, true),
            ("yadokari", "yadokari-testkit", false, false),
            ("yadokari-layer", "tokio", false, false),
            ("yadokari-layer", "anyhow", true, true),
            ("yadokari-registry", "tokio", false, true),
            ("yadokari-layer", "flate2", false, true),
        ];
        for (name, other, development, allowed) in cases {
            let problem = edge_problem((name, row(name).unwrap()), other, development);
            assert_eq!(problem.is_none(), allowed, "{name} -> {other}: {problem:?}");
        }
    }

    #[test]
    fn a_crate_without_a_row_is_a_problem() {
        let package = serde_json::json!({"name": "yadokari-new", "dependencies": []});
        assert_eq!(
            problems_of(&package),
            ["yadokari-new has no row in the table"]
        );
    }
}
