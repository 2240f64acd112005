//! The laws of the fuzz targets `words` and `patterns`, over random pieces of what they read.

use proptest::prelude::*;

#[expect(
    unreachable_pub,
    reason = "the fuzz targets' library has this file too"
)]
#[path = "../../fuzz/src/patterns.rs"]
mod patterns;
#[expect(
    unreachable_pub,
    reason = "the fuzz targets' library has this file too"
)]
#[path = "../../fuzz/src/words.rs"]
mod words;

const WORDS: [&str; 40] = [
    "$set",
    "${set",
    "${empty:",
    "$none",
    "${",
    "}",
    "-",
    "+",
    "?",
    "#",
    "##",
    "%",
    "%%",
    "/",
    "//",
    "*",
    "\\",
    "`",
    "\"",
    "'",
    " ",
    "a",
    "b",
    "type=",
    "cache,",
    "secret,id=",
    "target=/",
    "from=",
    "mode=0",
    "uid=",
    "size=1g",
    "true",
    ":",
    "80",
    "-90/udp",
    "u+x",
    ",",
    "1h",
    "9223372036854775807",
    "é",
];

const PATTERNS: [&str; 19] = [
    "*", "**", "?", "[", "]", "[^", "-", "!", "/", "\\", ".", "..", "a", "b/", "\n", "#", " ",
    "\u{0}", "é",
];

fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(of), 0..14)
        .prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn words_expand_or_are_refused(bytes in pieces(&WORDS)) {
        words::check(&bytes);
    }

    #[test]
    fn patterns_match_or_do_not(bytes in pieces(&PATTERNS)) {
        patterns::check(&bytes);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        words::check(&bytes);
        patterns::check(&bytes);
    }
}

#[test]
fn patterns_that_could_match_in_very_many_ways_are_decided_at_once() {
    let stars = "*a".repeat(200);
    let path = "a".repeat(2000);
    patterns::check(format!("{path}\n{stars}b\n**/{stars}/**/b\n").as_bytes());
    words::check(format!("${{set//{}b/x}}", "*a".repeat(200)).as_bytes());
}

#[test]
fn deep_nesting_is_refused_rather_than_followed() {
    for piece in ["${a:-", "${a:-\"", "${a//x/${", "\"${a:+"] {
        words::check(piece.repeat(100_000).as_bytes());
    }
}
