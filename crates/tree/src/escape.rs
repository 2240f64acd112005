//! Bytes of paths as readable text.

use std::fmt::{self, Display, Write};

/// Shows bytes as text: printable UTF-8 as it is, everything else, blanks and
/// backslashes as `\xNN`, so that no name can forge a line or a terminal code.
///
/// ```
/// use yadokari_tree::Escaped;
///
/// assert_eq!(Escaped(b"a b\n\xff").to_string(), r"a\x20b\x0a\xff");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                write_character(f, character)?;
            }
            write_bytes(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Turns `\xNN` back into bytes; `None` if a backslash starts anything else.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest[at..].strip_prefix("\\x")?.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[at + 4..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

fn write_character(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    if character == '\\' || character.is_whitespace() || is_invisible(character) {
        write_bytes(f, character.encode_utf8(&mut [0; 4]).as_bytes())
    } else {
        f.write_char(character)
    }
}

/// Control characters and the marks that reorder or hide text on a terminal.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_comes_back() {
        for bytes in [
            &b"plain"[..],
            b"a b",
            b"\\x41",
            b"\xff\xfe\n\t",
            "é\u{202e}ü".as_bytes(),
        ] {
            let text = Escaped(bytes).to_string();
            assert!(!text.contains([' ', '\n']), "{text}");
            assert_eq!(unescape(&text).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn a_stray_backslash_is_not_an_escape() {
        assert_eq!(unescape("a\\n"), None);
        assert_eq!(unescape("a\\x4"), None);
        assert_eq!(unescape("a\\xzz"), None);
    }
}
