//! Which paths patterns hide.

use super::*;
use proptest::prelude::*;

fn hidden(patterns: &str, path: &str) -> bool {
    Patterns::parse(patterns.as_bytes())
        .unwrap()
        .excludes(path.as_bytes())
        .is_some()
}

#[test]
fn patterns_hide_paths() {
    for (patterns, path, expected) in [
        ("a.txt", "a.txt", true),
        ("a.txt", "d/a.txt", false),
        ("**/a.txt", "d/e/a.txt", true),
        ("**/a.txt", "a.txt", true),
        ("d", "d/e/f", true),
        ("d/", "d", true),
        ("/d", "d", true),
        ("./d/../a.txt", "a.txt", true),
        ("../a", "a", false),
        ("/", "a", false),
        (".", "a", false),
        ("*", ".hidden", true),
        ("*", "d/a", true),
        ("*.txt", "d/a.txt", false),
        ("**.txt", "d/a.txt", true),
        ("d/**", "d", false),
        ("d/**", "d/a/b", true),
        ("d/**/x", "d/x", true),
        ("d/**/x", "d/a/b/x", true),
        ("***", "a/b", true),
        ("**", "a/b", true),
        ("?.txt", "a.txt", true),
        ("[a-c].txt", "b.txt", true),
        ("[^a-c].txt", "b.txt", false),
        ("d/?", "d/ab", false),
        ("A.txt", "a.txt", false),
        ("# c\n  # x", "# x", true),
        ("\\#x", "#x", true),
        ("\\!x", "!x", true),
        ("a.txt\r\n", "a.txt", true),
        ("\u{feff}a.txt", "a.txt", true),
        ("a+b(c)|{d}$.x", "a+b(c)|{d}$.x", true),
        ("[&&~~]x", "&x", true),
        ("[[]x", "[x", true),
        ("!README.md\n*.md", "README.md", true),
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n! README.md", "README.md", false),
        ("d\n!d/a.txt", "d/a.txt", false),
        ("d\n!d/a.txt", "d/b.txt", true),
        ("*\n!d/e/a.txt", "d/e/a.txt", false),
        ("*\n!d", "d/x", false),
        ("**/x\n!d", "d/x", true),
    ] {
        assert_eq!(hidden(patterns, path), expected, "{patterns:?} {path}");
    }
}

#[test]
fn the_pattern_that_hides_a_path_is_named() {
    let patterns = Patterns::parse(b"# first\nnode_modules\n\n  /dist/  \n!dist/x\n").unwrap();
    let found = patterns.excludes(b"dist/app").unwrap();
    assert_eq!((found.line, found.text.as_str()), (4, "/dist/"));
    assert!(patterns.has_negations());
}

#[test]
fn bad_patterns_name_their_line() {
    for (text, message, line) in [
        ("a\n!", "illegal exclusion pattern: \"!\"", 2),
        ("x[1", "syntax error in pattern", 1),
        ("\n\nx\\", "syntax error in pattern", 3),
        ("[b-a]", "syntax error in pattern", 1),
    ] {
        let error = Patterns::parse(text.as_bytes()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.line()), (message, line));
    }
}

#[test]
fn words_keep_their_leading_slash() {
    let patterns = Patterns::from_words(&["/x", "y/", " "]).unwrap();
    assert!(patterns.excludes(b"x").is_none());
    assert_eq!(patterns.excludes(b"y/z").unwrap().line, 2);
    assert!(Patterns::from_words(&["["]).is_err());
}

#[test]
fn excluded_directories_are_walked_only_if_that_can_matter() {
    for (patterns, directory, expected) in [
        ("d", "d", false),
        ("d\n!d/e/f", "d", true),
        ("d\n!d/e/f", "d/e", true),
        ("d\n!d/e/f", "d/g", false),
        ("d\n!d", "d/g", true),
        ("d\n!**/f", "d", true),
        ("d\n!e/**", "d", false),
    ] {
        let patterns = Patterns::parse(patterns.as_bytes()).unwrap();
        assert_eq!(
            patterns.may_reinclude_below(directory.as_bytes()),
            expected,
            "{directory}"
        );
    }
}

#[test]
fn the_check_judges_without_a_walk() {
    let patterns = Patterns::parse(b"**/x\n!d").unwrap();
    assert!(!patterns.matches_or_parent(b"d/x"));
    assert!(patterns.matches_or_parent(b"e/x/y"));
}

proptest! {
    #[test]
    fn reading_never_panics(text in r"([a-c*?\[\]^\\/!# \n.-]|.){0,40}", path in "[a-c/.]{0,12}") {
        if let Ok(patterns) = Patterns::parse(text.as_bytes()) {
            patterns.excludes(path.as_bytes());
            patterns.matches_or_parent(path.as_bytes());
            patterns.may_reinclude_below(path.as_bytes());
        }
    }

    #[test]
    fn unwalked_directories_hide_everything_below(
        text in r"(!?[ab*/]{1,5}\n){1,4}", directory in "[ab]", rest in "[ab](/[ab]){0,2}"
    ) {
        let Ok(patterns) = Patterns::parse(text.as_bytes()) else { return Ok(()) };
        if patterns.excludes(directory.as_bytes()).is_some() && !patterns.may_reinclude_below(directory.as_bytes()) {
            let path = format!("{directory}/{rest}");
            prop_assert!(patterns.excludes(path.as_bytes()).is_some());
        }
    }
}
