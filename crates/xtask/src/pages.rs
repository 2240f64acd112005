//! The pages name chores that there are.

use std::path::Path;

use clap::Parser as _;

use crate::Arguments;

#[test]
fn every_chore_of_the_pages_is_understood() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![
        top.join("README.md"),
        top.join("CONTRIBUTING.md"),
        top.join("justfile"),
    ];
    for directory in ["docs", "examples/hello"] {
        let entries = std::fs::read_dir(top.join(directory)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let mut seen = 0;
    for page in pages.iter().filter(|page| page.is_file()) {
        let text = std::fs::read_to_string(page).unwrap();
        for rest in text.split("cargo xtask ").skip(1) {
            let command = rest.split(['`', '\n', '#', '{']).next().unwrap_or_default();
            let words = command
                .split_whitespace()
                .map(|word| word.trim_end_matches(['.', ',']));
            let given: Vec<_> = ["cargo xtask"].into_iter().chain(words).collect();
            // A name in angle brackets stands for any.
            if given.get(1).is_some_and(|name| name.starts_with('<')) {
                continue;
            }
            seen += 1;
            if let Err(error) = Arguments::try_parse_from(&given) {
                panic!("{}: {command}: {error}", page.display());
            }
        }
    }
    assert!(seen > 10, "{seen} chores");
}
