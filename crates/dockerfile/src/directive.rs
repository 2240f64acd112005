//! Parser directives: `# syntax=`, `# escape=`, `# check=` at the head of the file.

use crate::error::ParseErrorKind;
use crate::text::{decode, is_space, trim_newline};

/// A directive line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) line: usize,
}

/// Reads directives line by line until the first line that is none.
#[derive(Debug)]
pub(crate) struct Directives {
    mark: &'static str,
    line: usize,
    seen: Vec<String>,
    done: bool,
}

impl Directives {
    /// Starts before the first line.
    pub(crate) fn new() -> Self {
        Self {
            mark: "#",
            line: 0,
            seen: Vec::new(),
            done: false,
        }
    }

    /// Takes the next line, without its line end.
    pub(crate) fn next(&mut self, line: &str) -> Result<Option<Directive>, ParseErrorKind> {
        self.line += 1;
        if self.done {
            return Ok(None);
        }
        let Some((name, value)) = line
            .strip_prefix(self.mark)
            .and_then(split)
            .filter(|(name, _)| is_known(name))
        else {
            self.done = true;
            return Ok(None);
        };
        if self.seen.contains(&name) {
            return Err(ParseErrorKind::DirectiveRepeated(name));
        }
        self.seen.push(name.clone());
        Ok(Some(Directive {
            name,
            value: value.to_owned(),
            line: self.line,
        }))
    }
}

/// Finds the `check` directive, which may also stand after a `#!` line.
pub(crate) fn find_check(bytes: &[u8]) -> Option<Directive> {
    find("check", bytes, "#")
}

/// Finds the frontend image asked for with `# syntax=`, `// syntax=` or a JSON object with that key.
pub(crate) fn find_syntax(bytes: &[u8]) -> Option<String> {
    let found = find("syntax", bytes, "#").or_else(|| find("syntax", bytes, "//"));
    let value = match found {
        Some(directive) => directive.value,
        None => json_syntax(bytes)?,
    };
    Some(value.split(' ').next().unwrap_or_default().to_owned())
}

fn find(name: &str, bytes: &[u8], mark: &'static str) -> Option<Directive> {
    let bytes = without_bom(bytes);
    let mut lines = bytes.split(|b| *b == b'\n');
    let mut directives = Directives {
        mark,
        ..Directives::new()
    };
    if bytes.starts_with(b"#!") {
        lines.next();
        directives.line = 1;
    }
    for line in lines {
        let found = directives.next(&decode(trim_newline(line))).ok()?;
        if found
            .as_ref()
            .is_some_and(|directive| directive.name == name)
        {
            return found;
        }
        if directives.done {
            return None;
        }
    }
    None
}

fn json_syntax(bytes: &[u8]) -> Option<String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(without_bom(bytes)).ok()?;
    object.get("syntax")?.as_str().map(str::to_owned)
}

/// Drops a UTF-8 byte order mark.
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn is_known(name: &str) -> bool {
    matches!(name, "syntax" | "escape" | "check")
}

fn split(comment: &str) -> Option<(String, &str)> {
    let (name, value) = comment.trim_start_matches(is_space).split_once('=')?;
    let name = name.trim_end_matches(is_regexp_space);
    let value = value.trim_matches(is_regexp_space);
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    (well_formed && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}

fn is_regexp_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_end_at_the_first_other_line() {
        for (text, expected) in [
            ("# check=skip=all\nFROM x", Some(("skip=all", 1))),
            ("#!/bin/sh\n# check=a b \nFROM x", Some(("a b", 2))),
            ("\u{feff}#CHECK = x", Some(("x", 1))),
            ("# syntax=a\r\n# check=x\r\n", Some(("x", 2))),
            ("# other=a\n# check=x", None),
            ("\n# check=x", None),
            ("# check=", None),
            ("# hello\n# check=x", None),
        ] {
            let found =
                find_check(text.as_bytes()).map(|directive| (directive.value, directive.line));
            assert_eq!(
                found,
                expected.map(|(value, line)| (value.to_owned(), line)),
                "{text}"
            );
        }
    }

    #[test]
    fn syntax_has_three_forms() {
        for (text, expected) in [
            (
                "# syntax=docker/dockerfile:1 x=y\nFROM x",
                Some("docker/dockerfile:1"),
            ),
            ("// syntax=a/b\n", Some("a/b")),
            ("{\"syntax\": \"c/d\"}", Some("c/d")),
            ("FROM x\n# syntax=a", None),
        ] {
            assert_eq!(find_syntax(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
