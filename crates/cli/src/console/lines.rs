//! Turns the bytes of a command's output into lines that are safe to show.

/// Bytes of one stream that do not make a whole line yet.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    pending: Vec<u8>,
}

/// Longer lines are cut into pieces, so that no output can fill the memory.
const LONGEST_LINE: usize = 16 * 1024;

impl LineBuffer {
    /// Takes bytes and gives the lines they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if self.pending.ends_with(b"\n") || self.pending.len() > LONGEST_LINE {
                lines.extend(self.finish());
            }
        }
        lines
    }

    /// What is left when the stream ended.
    pub(super) fn finish(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.pending);
        (!bytes.is_empty()).then(|| printable(&String::from_utf8_lossy(&bytes)))
    }
}

/// What a line looks like on paper: carriage returns overwrite, escape sequences and other controls vanish.
///
/// A command's output could otherwise move the cursor, forge log sections or set the terminal's title.
fn printable(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    let last = line
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or_default();
    let mut out = String::with_capacity(last.len());
    let mut characters = last.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => skip_escape(&mut characters),
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips what follows an escape character: a control sequence up to its letter, a string up to its end, or one character.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let ends: fn(char) -> bool = match characters.next() {
        Some('[') => |c| ('\u{40}'..='\u{7e}').contains(&c),
        Some(']' | 'P' | '_' | '^') => |c| matches!(c, '\u{7}' | '\u{9c}' | '\u{1b}'),
        _ => return,
    };
    let _ = characters.find(|c| ends(*c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_bytes_arrive() {
        let mut buffer = LineBuffer::default();
        assert!(buffer.push(b"he").is_empty());
        assert_eq!(buffer.push(b"llo\nwor"), ["hello"]);
        assert_eq!(buffer.push(b"ld\n\nend"), ["world", ""]);
        assert_eq!(buffer.finish().as_deref(), Some("end"));
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn controls_never_reach_the_screen() {
        let cases = [
            ("10%\r50%\r100%\n", "100%"),
            ("50%\r\n", "50%"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}[0Ksection_start:1:x\r\u{1b}[0Kforged", "forged"),
            ("bell\u{7}\u{8}", "bell"),
            ("tab\there", "tab\there"),
            ("unfinished \u{1b}[", "unfinished "),
        ];
        for (line, expected) in cases {
            assert_eq!(printable(line), expected, "{line:?}");
        }
    }

    #[test]
    fn an_endless_line_is_cut() {
        let mut buffer = LineBuffer::default();
        let lines = buffer.push(&vec![b'x'; LONGEST_LINE + 1]);
        assert_eq!(lines.len(), 1);
        assert_eq!(buffer.finish(), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        assert_eq!(LineBuffer::default().push(b"\xff\n"), ["\u{fffd}"]);
    }
}
