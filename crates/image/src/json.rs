//! JSON in the byte form of Go's `encoding/json`.
//!
//! Images are named by the digest of their JSON, and the tools they are compared
//! with are written in Go: `<`, `>`, `&`, U+2028 and U+2029 are written as
//! `\u` escapes. Key order is the order in which a type serialises.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

/// Encodes without any white space.
///
/// # Panics
///
/// If `value` cannot be expressed in JSON (a map whose keys are not strings);
/// no type of this crate is such a value.
#[must_use]
pub fn compact<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode(value, CompactFormatter)
}

/// Encodes with line breaks and two spaces of indentation, without a line break at the end.
///
/// # Panics
///
/// As [`compact`].
#[must_use]
pub fn indented<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode(value, PrettyFormatter::new())
}

fn encode<T: Serialize + ?Sized>(value: &T, formatter: impl Formatter) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, GoEscapes(formatter));
    value
        .serialize(&mut serializer)
        .expect("writing to memory does not fail, and the documents of images have string keys");
    bytes
}

/// Layout by the inner formatter, escapes by Go's rules.
struct GoEscapes<F>(F);

/// Characters that Go escapes and JSON would allow as they are.
fn escaped(character: char) -> bool {
    matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
}

impl<F: Formatter> Formatter for GoEscapes<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        mut fragment: &str,
    ) -> io::Result<()> {
        while let Some(at) = fragment.find(escaped) {
            let (plain, rest) = fragment.split_at(at);
            let mut characters = rest.chars();
            let code = characters.next().map_or(0, u32::from);
            write!(writer, "{plain}\\u{code:04x}")?;
            fragment = characters.as_str();
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn html_and_line_separators_are_escaped_as_go_does() {
        let cases = [
            ("a && b", r#""a \u0026\u0026 b""#),
            ("<é>", r#""\u003cé\u003e""#),
            ("\u{2028}\u{2029}", r#""\u2028\u2029""#),
            (
                "\"\\\n\t\u{8}\u{1}\u{7f}",
                "\"\\\"\\\\\\n\\t\\b\\u0001\u{7f}\"",
            ),
            ("", r#""""#),
        ];
        for (text, expected) in cases {
            assert_eq!(String::from_utf8(compact(text)).unwrap(), expected);
        }
    }

    #[test]
    fn keys_are_escaped_too() {
        assert_eq!(compact(&json!({"a<b": 1})), br#"{"a\u003cb":1}"#);
    }

    #[test]
    fn indentation_is_two_spaces_and_ends_without_a_line_break() {
        let text = indented(&json!({"a": [1, {}], "b": [], "c": null}));
        let expected = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": null\n}";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
