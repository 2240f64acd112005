//! Reading from a build's output which steps ran.

use yadokari_testkit::process::Finished;

/// The commands that ran, by the words after `ran-42-` in their output.
pub(crate) fn executed(build: &Finished) -> Vec<&str> {
    let mut names: Vec<&str> = build
        .output
        .split("ran-42-")
        .skip(1)
        .map(first_word)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// How many steps are said to come from the cache.
pub(crate) fn cached(build: &Finished) -> usize {
    build
        .output
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("cached"))
        .count()
}

fn first_word(text: &str) -> &str {
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    &text[..end]
}
