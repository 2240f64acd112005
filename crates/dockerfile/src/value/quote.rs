//! Strings and lists as Go's `%q` and `%v` print them, which is how history rows show them.

use std::fmt::Write as _;

/// Quotes a string as Go's `%q` does.
///
/// ```
/// # use yadokari_dockerfile::value::quote::quoted;
/// assert_eq!(quoted("a\t\"b\" é\u{7f}"), r#""a\t\"b\" é\x7f""#);
/// ```
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out.push('"');
    out
}

/// Prints a list of strings as Go's `%q` does: `["a" "b"]`.
pub fn quoted_list<S: AsRef<str>>(items: &[S]) -> String {
    bracketed(items.iter().map(|item| quoted(item.as_ref())))
}

/// Prints a list of strings as Go's `%v` does: `[a b]`.
pub fn plain_list<S: AsRef<str>>(items: &[S]) -> String {
    bracketed(items.iter().map(|item| item.as_ref().to_owned()))
}

fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(" "))
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_printable(c) => out.push(c),
        _ => push_code(out, u32::from(c)),
    }
}

fn push_code(out: &mut String, code: u32) {
    // Writing to a String cannot fail.
    let _ = match code {
        0..=0x7f => write!(out, "\\x{code:02x}"),
        0x80..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

fn is_printable(c: char) -> bool {
    // The leading letter keeps combining marks from being escaped, which Go prints.
    let probe: String = ['a', c].iter().collect();
    c == '\'' || probe.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        for (text, expected) in [
            ("", r#""""#),
            ("it's", r#""it's""#),
            ("a\\b", r#""a\\b""#),
            ("\u{0}\u{1b}", r#""\x00\x1b""#),
            ("\u{a0}\u{200b}", r#""\u00a0\u200b""#),
            ("e\u{301} 日本 🦀", "\"e\u{301} 日本 🦀\""),
            ("\u{e0001}", r#""\U000e0001""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn lists_are_separated_by_blanks() {
        assert_eq!(quoted_list(&["a", "b c"]), r#"["a" "b c"]"#);
        assert_eq!(plain_list(&["80/tcp", "81/udp"]), "[80/tcp 81/udp]");
        assert_eq!(plain_list::<&str>(&[]), "[]");
    }
}
