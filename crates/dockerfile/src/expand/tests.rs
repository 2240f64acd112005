//! What words expand to.

use super::*;
use proptest::prelude::*;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "s" => "foobarbaz",
        "e" => "",
        "o" => "foo",
        "p" => "/a/b/c.tar.gz",
        "9" => "nine",
        "ports" => "70 71/udp",
        _ => return None,
    };
    Some(value.to_owned())
}

fn word(text: &str) -> String {
    match Expander::new('\\', &lookup).expand_word(text) {
        Ok(expanded) => expanded.value,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn variables_are_replaced() {
    for (text, expected) in [
        ("$s", "foobarbaz"),
        ("${s}", "foobarbaz"),
        ("a${u}b", "ab"),
        ("$9x", "ninex"),
        ("$$", ""),
        ("$", "$"),
        ("$.", "$."),
        ("${#}", ""),
        ("${u:-d}|${e:-d}|${e-d}|${u-d}", "d|d||d"),
        ("${s:+y}|${e:+y}|${e+y}|${u+y}", "y||y|"),
        ("${s?}|${s:?m}|${e?m}", "foobarbaz|foobarbaz|"),
        ("${s#f*b}|${s##f*b}|${s%b*}|${s%%b*}", "arbaz|az|foobar|foo"),
        ("${p##*/}|${p%.*}", "c.tar.gz|/a/b/c.tar"),
        (
            "${s/ba/fo}|${s//ba/fo}|${s//a/}",
            "fooforbaz|fooforfoz|foobrbz",
        ),
        (r"${p//\//_}", "_a_b_c.tar.gz"),
        ("${s/#foo/X}", "foobarbaz"),
        ("${u:-${p##*/}}", "c.tar.gz"),
        ("${u:-'q $s'}", "q $s"),
        ("\"${u:-a b}\"", "a b"),
        (r"${o//o/\/}", r"f\/\/"),
        (r"${o//o/[\$0]}", r"f[\o][\o]"),
        (r"${o/o/[\$0]}", r"f[\$0]o"),
        ("${o//o/$$}", "f"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
}

#[test]
fn quotes_and_escapes_are_removed() {
    for (text, expected) in [
        ("'a $s \\n'", "a $s \\n"),
        (r#""a\nb""#, r"a\nb"),
        (r#""\$s \" \\ $s""#, r#"$s " \ foobarbaz"#),
        (r"a\nb", "anb"),
        (r"a\ b", "a b"),
        (r"\$s", "$s"),
        (r"dangling\", "dangling"),
        (r#"a'b'"c$s""#, "abcfoobarbaz"),
        (r#"it"'"s"#, "it's"),
        ("$(x) `y`", "$(x) `y`"),
        ("x<<  y", "x<<  y"),
    ] {
        assert_eq!(word(text), expected, "{text}");
    }
    let expanded = Expander::new('`', &lookup)
        .expand_word(r#""q`"z" a\b `$s"#)
        .unwrap();
    assert_eq!(expanded.value, r#"q"z a\b $s"#);
}

#[test]
fn errors_name_the_word() {
    insta::assert_snapshot!(
        [
            "\"x", "'x", "${x!y}", "${x", "${", "${}", "${:x}", "${s:=y}", "${s:#y}", "${a.b}", "${s[0]}", "${#s}", "${u:?}",
            "${e:?}", "${u?need it}", r"${s#\x}", "${s/a}", "${u:-x", "${s/a/b", "${x:", "${u:-\"x}",
        ]
        .map(word)
        .join("\n"),
        @r#"
    error: failed to process "\"x": unexpected end of statement while looking for matching double-quote
    error: failed to process "'x": unexpected end of statement while looking for matching single-quote
    error: failed to process "${x!y}": unsupported modifier (!) in substitution
    error: failed to process "${x": unsupported modifier (�) in substitution
    error: failed to process "${": syntax error: missing '}'
    error: failed to process "${}": syntax error: bad substitution
    error: failed to process "${:x}": syntax error: bad substitution
    error: failed to process "${s:=y}": unsupported modifier (:=) in substitution
    error: failed to process "${s:#y}": unsupported modifier (:#) in substitution
    error: failed to process "${a.b}": unsupported modifier (.) in substitution
    error: failed to process "${s[0]}": unsupported modifier ([) in substitution
    error: failed to process "${#s}": unsupported modifier (s) in substitution
    error: failed to process "${u:?}": u: is not allowed to be unset
    error: failed to process "${e:?}": e: is not allowed to be empty
    error: failed to process "${u?need it}": u: need it
    error: failed to process "${s#\\x}": invalid pattern (\x) in substitution: invalid escape '\x'
    error: failed to process "${s/a}": syntax error: missing '/' in ${}
    error: failed to process "${u:-x": syntax error: missing '}'
    error: failed to process "${s/a/b": syntax error: missing '}'
    error: failed to process "${x:": syntax error: missing '}'
    error: failed to process "${u:-\"x}": syntax error: missing '}'
    "#
    );
}

#[test]
fn undefined_names_are_listed_once_each() {
    let expanded = Expander::new('\\', &lookup)
        .expand_word("$u $s ${v:-x} $u ${s:+$w}")
        .unwrap();
    assert_eq!(expanded.undefined, ["u", "v", "w"]);
    assert_eq!(expanded.used, ["s"]);
}

#[test]
fn words_are_split_after_expansion() {
    let expander = Expander::new('\\', &lookup);
    assert_eq!(expander.expand_words("$ports").unwrap(), ["70", "71/udp"]);
    assert_eq!(
        expander.expand_words("'a b'\\ c d").unwrap(),
        ["a b c", "d"]
    );
    assert!(expander.expand_words("$u").unwrap().is_empty());
}

#[test]
fn bodies_know_no_quotes_and_always_escape_with_the_backslash() {
    let expander = Expander::new('`', &lookup);
    let body = "\\n \\\\ \\$s \"q $s\" 'sq $s' `$s $(cmd) ${u:-def}\nend\\\njoined\n";
    assert_eq!(
        expander.expand_body(body).unwrap().value,
        "n \\ $s \"q foobarbaz\" 'sq foobarbaz' `foobarbaz $(cmd) def\nend\njoined\n"
    );
}

#[test]
fn unset_references_can_be_kept() {
    let expander = Expander::new('\\', &lookup).keeping_unset();
    for (text, expected) in [
        ("$u ${u} $s", "$u ${u} foobarbaz"),
        ("${u:-x}", "${u:-x}"),
        ("${u/a/b}", "${u/a/b}"),
    ] {
        assert_eq!(expander.expand_word(text).unwrap().value, expected);
    }
}

#[test]
fn nesting_has_an_end() {
    assert!(word(&"${u:-".repeat(10_000)).contains("nested too deeply"));
}

proptest! {
    #[test]
    fn expansion_never_panics(text in r#"([a-z ]|[$"'\\{}:/#%*?<-]|[^a]){0,40}"#) {
        let expander = Expander::new('\\', &lookup);
        let _ = expander.expand_word(&text);
        let _ = expander.expand_body(&text);
        let _ = expander.keeping_unset().expand_word(&text);
    }

    #[test]
    fn single_quotes_protect_everything(text in "[^']{0,20}") {
        prop_assert_eq!(word(&format!("'{text}'")), text);
    }
}

#[test]
fn text_that_variables_multiply_beyond_use_is_refused() {
    let megabyte = "x".repeat(1 << 20);
    let lookup = |name: &str| (name == "m").then(|| megabyte.clone());
    let expand = |word: &str| Expander::new('\\', &lookup).expand_word(word);
    assert_eq!(expand(&"$m".repeat(16)).unwrap().value.len(), 16 << 20);
    for word in [
        "$m".repeat(17),
        format!("\"{}\"", "${m:+$m}".repeat(12)),
        format!("${{m//x/{}}}", "y".repeat(40)),
    ] {
        assert_eq!(expand(&word).unwrap_err().kind, ExpandErrorKind::TooLong);
    }
}
