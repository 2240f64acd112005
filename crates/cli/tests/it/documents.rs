//! README, docs and examples: every link leads somewhere, every command is one that the program understands.

mod blocks;
mod commands;
mod dockerfile;
mod shell;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Files with this extension: the README, docs and examples.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let top = workspace();
    let mut found: Vec<_> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(|name| top.join(name))
        .into();
    let mut directories = vec![top.join("docs"), top.join("examples")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    let fits = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| extensions.iter().any(|one| end == *one))
    };
    found.retain(fits);
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(workspace())
        .unwrap()
        .display()
        .to_string()
}

/// The targets of `[text](target)`, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced || line.starts_with("    ") {
            continue;
        }
        for part in line.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            found.push(target.to_owned());
        }
    }
    found
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let lower = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(anchor)
        .collect()
}

#[test]
fn every_link_leads_to_a_file_or_a_heading() {
    let mut seen = 0;
    for file in files(&["md"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => file.clone(),
                path => file.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", name(&file));
            if !heading.is_empty() {
                let known = anchors(&std::fs::read_to_string(&target).unwrap());
                assert!(
                    known.contains(heading),
                    "{}: {link}: there are {known:?}",
                    name(&file)
                );
            }
        }
    }
    assert!(seen > 30, "{seen} links");
}

/// The book is built of that directory alone, and a link out of it is dead there.
#[test]
fn no_page_of_the_documentation_links_out_of_it() {
    let docs = workspace().join("docs");
    let mut seen = 0;
    for file in files(&["md"]) {
        if !file.starts_with(&docs) {
            continue;
        }
        for link in links(&std::fs::read_to_string(&file).unwrap()) {
            let (path, _) = link.split_once('#').unwrap_or((&link, ""));
            if path.contains("://") || path.is_empty() {
                continue;
            }
            seen += 1;
            let target = file.parent().unwrap().join(path);
            let target = target.canonicalize().unwrap();
            assert!(target.starts_with(&docs), "{}: {link}", name(&file));
        }
    }
    assert!(seen > 30, "{seen} links");
}

#[test]
fn every_page_of_the_documentation_is_in_its_index_and_in_the_book() {
    let docs = workspace().join("docs");
    for list in ["index.md", "SUMMARY.md"] {
        let listed = links(&std::fs::read_to_string(docs.join(list)).unwrap());
        for entry in std::fs::read_dir(&docs).unwrap() {
            let page = entry.unwrap().file_name().into_string().unwrap();
            if page.ends_with(".md") && !["index.md", "SUMMARY.md"].contains(&page.as_str()) {
                let times = listed.iter().filter(|link| **link == page).count();
                assert!(times > 0, "docs/{list} does not name {page}");
                assert!(
                    list == "index.md" || times == 1,
                    "docs/{list} names {page} twice"
                );
            }
        }
    }
}
