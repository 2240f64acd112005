//! Characters and blanks as Go sees them, since the reference behaviour is that of a Go program.

use std::borrow::Cow;

/// Decodes bytes as UTF-8, giving one U+FFFD for every byte that is not part of a valid character.
///
/// The standard library gives one per maximal invalid sequence, which makes shorter text.
pub(crate) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(out)
}

/// Says whether Go's `unicode.IsSpace` holds.
pub(crate) fn is_space(c: char) -> bool {
    // Rust's White_Space property is the same set.
    c.is_whitespace()
}

/// Says whether a byte, taken for a Latin-1 character, is a space.
pub(crate) fn is_latin1_space(byte: u8) -> bool {
    is_space(char::from(byte))
}

/// Says whether a character separates an instruction from its arguments and whitespace-split words.
pub(crate) fn is_separator(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Splits at the first run of separators; the second part is absent when there is none.
pub(crate) fn split_first_word(text: &str) -> (&str, Option<&str>) {
    match text.find(is_separator) {
        None => (text, None),
        Some(at) => (
            &text[..at],
            Some(text[at..].trim_start_matches(is_separator)),
        ),
    }
}

/// Splits at every run of separators, keeping empty words at the ends.
pub(crate) fn split_separators(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        let (word, tail) = split_first_word(rest);
        words.push(word.to_owned());
        match tail {
            Some(tail) => rest = tail,
            None => return words,
        }
    }
}

/// Cuts the line end (any run of `\r` and `\n`) off a line.
pub(crate) fn trim_newline(line: &[u8]) -> &[u8] {
    let end = line
        .iter()
        .rposition(|b| !matches!(b, b'\r' | b'\n'))
        .map_or(0, |at| at + 1);
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invalid_byte_becomes_one_replacement_character() {
        assert_eq!(decode(b"a\xe2\x82b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(decode("é".as_bytes()), "é");
    }

    #[test]
    fn words_are_split_at_runs_of_separators() {
        assert_eq!(split_separators("a \t b\u{a0}c"), ["a", "b\u{a0}c"]);
        assert_eq!(split_first_word("RUN"), ("RUN", None));
    }
}
