//! Heredocs: the `<<NAME` word and the body that follows the instruction.

use crate::expand::{self, ExpandError};
use crate::text::decode;
use std::borrow::Cow;

/// A heredoc with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The name, unquoted: the end line, and for COPY and ADD the name of the file.
    pub name: String,
    /// The file descriptor written before `<<`, 0 if none is.
    pub descriptor: u64,
    /// Whether variables of the body are expanded (COPY and ADD only): no part of the name is quoted.
    pub expand: bool,
    /// Whether `<<-` was written, which strips leading tabs.
    pub strip_tabs: bool,
    /// The lines between the instruction and the end line, as they stand in the file.
    pub raw_body: Vec<u8>,
}

impl Heredoc {
    /// The body, without leading tabs if `<<-` was written. Not expanded.
    pub fn body(&self) -> Cow<'_, [u8]> {
        if self.strip_tabs {
            Cow::Owned(without_tabs(&self.raw_body))
        } else {
            Cow::Borrowed(&self.raw_body)
        }
    }

    /// The body as text; bytes that are no UTF-8 become replacement characters.
    pub fn text(&self) -> String {
        decode(&self.body()).into_owned()
    }

    /// The body as text with its tabs, as RUN passes it to the shell beside other text.
    pub(crate) fn raw_text(&self) -> Cow<'_, str> {
        decode(&self.raw_body)
    }

    /// Says whether a physical line, without its line end, ends this heredoc.
    pub(crate) fn ends_at(&self, line: &[u8]) -> bool {
        let tabs = if self.strip_tabs {
            line.iter().take_while(|b| **b == b'\t').count()
        } else {
            0
        };
        line[tabs..] == *self.name.as_bytes()
    }
}

/// Finds the heredocs a logical line announces; their bodies are still empty.
pub(crate) fn announced(line: &str) -> Result<Vec<Heredoc>, ExpandError> {
    let words = expand::raw_words(line);
    words
        .iter()
        .filter_map(|word| parse(word).transpose())
        .collect()
}

/// Reads a word as a heredoc mark; `None` if it is none.
pub(crate) fn parse(word: &str) -> Result<Option<Heredoc>, ExpandError> {
    let Some((descriptor, strip_tabs, name)) = split(word) else {
        return Ok(None);
    };
    let words = expand::name_words(name, false)?;
    let [unquoted] = words.as_slice() else {
        return Ok(None);
    };
    let raw = expand::name_words(name, true)?;
    let [raw] = raw.as_slice() else {
        return Ok(None);
    };
    let expand = quotes(unquoted) == quotes(raw);
    Ok(Some(Heredoc {
        name: unquoted.clone(),
        descriptor,
        expand,
        strip_tabs,
        raw_body: Vec::new(),
    }))
}

/// Says whether a word is a heredoc mark; a name that cannot be read makes it none.
pub(crate) fn is_mark(word: &str) -> bool {
    matches!(parse(word), Ok(Some(_)))
}

fn split(word: &str) -> Option<(u64, bool, &str)> {
    let (digits, rest) = word.split_once("<<")?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let name = rest.trim_start_matches([' ', '\t', '\n', '\u{c}', '\r']);
    let descriptor = if digits.is_empty() {
        0
    } else {
        digits.parse().unwrap_or(u64::MAX)
    };
    (!name.is_empty() && !name.contains('<')).then_some((descriptor, strip_tabs, name))
}

fn quotes(text: &str) -> usize {
    text.matches(['\'', '"']).count()
}

fn without_tabs(body: &[u8]) -> Vec<u8> {
    let lines = body.split_inclusive(|b| *b == b'\n');
    lines
        .flat_map(|line| line.iter().skip_while(|b| **b == b'\t'))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(line: &str) -> Vec<(String, u64, bool, bool)> {
        let found = announced(line).unwrap();
        found
            .into_iter()
            .map(|doc| (doc.name, doc.descriptor, doc.expand, doc.strip_tabs))
            .collect()
    }

    #[test]
    fn heredocs_are_whole_shell_words() {
        for (line, expected) in [
            ("COPY <<EOF /f", vec![("EOF", 0, true, false)]),
            (
                "COPY <<-\"E\" <<'F' /f",
                vec![("E", 0, false, true), ("F", 0, false, false)],
            ),
            ("COPY <<E\"O\"F /f", vec![("EOF", 0, false, false)]),
            ("RUN 3<<EOF cat", vec![("EOF", 3, true, false)]),
            ("RUN 1<<2", vec![("2", 1, true, false)]),
            ("COPY << EOF /f", vec![("EOF", 0, true, false)]),
            ("RUN <<$EOF", vec![("$EOF", 0, true, false)]),
            (
                "RUN cat <<A > /x && cat <<B",
                vec![("A", 0, true, false), ("B", 0, true, false)],
            ),
            ("RUN <<'one two'", vec![("one two", 0, false, false)]),
            ("COPY x<<y /z", vec![]),
            ("RUN echo 'x<<y' \"a << b\" c\\<\\<d", vec![]),
            ("RUN cat <<<word", vec![]),
            ("RUN <<EOF \"open", vec![]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, fd, expand, tabs)| (name.to_owned(), fd, expand, tabs))
                .collect();
            assert_eq!(marks(line), expected, "{line}");
        }
    }

    #[test]
    fn tabs_are_stripped_from_every_line() {
        let doc = Heredoc {
            name: "E".into(),
            descriptor: 0,
            expand: true,
            strip_tabs: true,
            raw_body: b"\ta\n\t\tb\n\t  c\td\n".to_vec(),
        };
        assert_eq!(doc.text(), "a\nb\n  c\td\n");
        assert!(doc.ends_at(b"\t\tE") && !doc.ends_at(b" E") && !doc.ends_at(b"E "));
    }
}
