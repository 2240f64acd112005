//! Which files a COPY takes.

use super::*;

#[test]
fn a_source_is_cleaned_against_the_root() {
    let source = "/a 0644 @1 x\n/d/e 0644 @2 xy";
    for word in ["a", "/a", "./a", "../a", "a/", "a/.", "d/../a", "d/../../a"] {
        assert_eq!(
            layer(source, &[word], "/b"),
            "/b 0644 0:0 @1 1 bytes",
            "{word}"
        );
    }
}

#[test]
fn wildcards_match_whole_paths_and_never_cross_a_slash() {
    let source = "/a.txt 0644 @1 a\n/.b.txt 0644 @1 bb\n/d/c.txt 0644 @1 ccc\n/d/e/f.txt 0644 @1 dddd\n/x[0] 0644 @1 eeeee";
    for (word, expected) in [
        ("*.txt", "/o/.b.txt /o/a.txt"),
        (".*", "/o/.b.txt"),
        ("*/*.txt", "/o/c.txt"),
        ("**/*.txt", "/o/c.txt"),
        ("**.txt", "/o/.b.txt /o/a.txt"),
        ("d/?.txt", "/o/c.txt"),
        ("d/[a-c].txt", "/o/c.txt"),
        ("x[[]0]", "/o/x[0]"),
        ("*/../a.txt", "/o/a.txt"),
        ("x[0]", ""),
        ("z*", ""),
    ] {
        let paths = Case::new(source).paths(&[word], "/o/");
        assert_eq!(paths.trim_start_matches("/o "), expected, "{word}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_leaves_nothing_but_its_prefix_must_exist() {
    assert_eq!(layer("/d/a 0644 x", &["d/z*"], "/o/"), "");
    assert_eq!(
        layer("/d/a 0644 x", &["e/z*"], "/o/"),
        "error: lstat /e: no such file or directory"
    );
    assert_eq!(
        layer("/d/a 0644 x", &["d/["], "/o/"),
        "error: \"[\": syntax error in pattern"
    );
}

#[test]
fn a_plain_source_must_exist() {
    assert_eq!(
        layer("/a 0644 x", &["missing"], "/o"),
        "error: \"/missing\": not found"
    );
    assert_eq!(
        layer("/a 0644 x", &["a/b"], "/o"),
        "error: \"/a/b\": not found"
    );
    assert_eq!(layer("/a -> a", &["a"], "/o"), "error: \"/a\": not found");
}

#[test]
fn a_matched_directory_is_taken_whole_and_gives_its_contents() {
    let source = "/g/ 0755 @9\n/g/1/ 0700 @1\n/g/1/x 0644 @2 x\n/g/2/ 0700 @3\n/g/2/y/ 0750 @4\n/g/z 0600 @5 z";
    insta::assert_snapshot!(layer(source, &["g/*"], "/w/"), @r"
    /w 0755 0:0 @99 directory
    /w/x 0644 0:0 @2 1 bytes
    /w/y 0750 0:0 @4 directory
    /w/z 0600 0:0 @5 1 bytes
    ");
}

#[test]
fn a_link_is_followed_inside_the_source_and_keeps_its_name() {
    let source = "/t 0644 @1 x\n/d/f 0644 @2 xy\n/link -> t\n/absolute -> /t\n/out -> ../../t\n/dir -> d\n/dangling -> nowhere\n/d/inner -> f";
    assert_eq!(
        layer(source, &["link"], "/o/"),
        "/o 0755 0:0 @99 directory\n/o/link 0644 0:0 @1 1 bytes"
    );
    assert_eq!(layer(source, &["absolute"], "/o"), "/o 0644 0:0 @1 1 bytes");
    assert_eq!(layer(source, &["out"], "/o"), "/o 0644 0:0 @1 1 bytes");
    assert_eq!(layer(source, &["dir/f"], "/o"), "/o 0644 0:0 @2 2 bytes");
    assert_eq!(
        layer(source, &["dangling"], "/o"),
        "error: \"/dangling\": not found"
    );
    assert_eq!(
        layer(source, &["dang*"], "/o"),
        "error: \"/dangling\": not found"
    );
    insta::assert_snapshot!(layer(source, &["dir"], "/o"), @r"
    /o 0755 0:0 @0 directory
    /o/f 0644 0:0 @2 2 bytes
    /o/inner 0777 0:0 @0 -> f
    ");
}

#[test]
fn the_walk_of_a_pattern_does_not_enter_linked_directories() {
    assert_eq!(
        layer("/d/f 0644 @2 xy\n/dir -> d", &["*/f"], "/o/"),
        "/o 0755 0:0 @99 directory\n/o/f 0644 0:0 @2 2 bytes"
    );
}

#[test]
fn exclusions_are_relative_to_the_copied_directory() {
    let source = "/s/a.txt 0644 x\n/s/b 0644 x\n/s/x/c.txt 0644 x\n/s/x/d 0644 x";
    for (patterns, expected) in [
        (vec!["*.txt"], "/o /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["**/*.txt"], "/o /o/b /o/x /o/x/d"),
        (vec!["x"], "/o /o/a.txt /o/b"),
        (vec!["x/"], "/o /o/a.txt /o/b"),
        (vec!["/x"], "/o /o/a.txt /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["s"], "/o /o/a.txt /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["x", "!x/d"], "/o /o/a.txt /o/b /o/x /o/x/d"),
        (vec!["x", "!y/d"], "/o /o/a.txt /o/b"),
        (vec!["**"], "/o"),
    ] {
        assert_eq!(
            Case::new(source).exclude(&patterns).paths(&["s"], "/o"),
            expected,
            "{patterns:?}"
        );
    }
}

#[test]
fn a_source_itself_is_never_excluded() {
    let case = Case::new("/a.txt 0644 @1 x").exclude(&["*.txt", "a.txt"]);
    assert_eq!(
        case.layer(&["*.txt"], "/d/"),
        "/d 0755 0:0 @99 directory\n/d/a.txt 0644 0:0 @1 1 bytes"
    );
}

#[test]
fn with_parents_exclusions_are_relative_to_the_pivot() {
    let case = Case::new("/d/e/f 0644 x\n/d/e/g 0644 x")
        .parents()
        .exclude(&["d/e/f"]);
    assert_eq!(case.paths(&["d/e"], "/o/"), "/o /o/d /o/d/e /o/d/e/g");
    assert_eq!(case.paths(&["d/./e"], "/o/"), "/o /o/e /o/e/f /o/e/g");
}
