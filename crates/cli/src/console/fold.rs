//! Lines that are too wide for a terminal, broken between words.

use console::measure_text_width;

/// Breaks a line so that no piece is wider than `columns`, where its words allow that. All pieces but the first begin with
/// `indent` spaces.
pub(crate) fn fold(line: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for (index, word) in line.split(' ').enumerate() {
        let width = measure_text_width(&piece) + 1 + measure_text_width(word);
        if index > 0 && width > columns && !word.is_empty() && !piece.trim().is_empty() {
            pieces.push(piece.trim_end().to_owned());
            piece = " ".repeat(indent);
        } else if index > 0 {
            piece.push(' ');
        }
        piece.push_str(word);
    }
    pieces.push(piece);
    pieces
}

/// Breaks the lines of a table. What is too wide goes on below the cell that it belongs to, if that is not far to the
/// right.
pub(crate) fn fold_table(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        for piece in fold(line, columns, last_cell(line).min(columns * 2 / 3)) {
            out.push_str(&piece);
            out.push('\n');
        }
    }
    out
}

/// The column at which the last cell begins: cells are parted by two spaces or more.
fn last_cell(line: &str) -> usize {
    let end = line.trim_end().rfind("  ").map_or(0, |at| at + 2);
    measure_text_width(&line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let cases: [(&str, usize, &[&str]); 6] = [
            ("one two three", 20, &["one two three"]),
            ("one two three", 8, &["one two", "  three"]),
            ("one two three", 7, &["one two", "  three"]),
            ("  a  b c", 6, &["  a  b", "  c"]),
            ("a-word-that-is-long b", 5, &["a-word-that-is-long", "  b"]),
            ("", 5, &[""]),
        ];
        for (line, columns, expected) in cases {
            assert_eq!(fold(line, columns, 2), expected, "{line:?}");
        }
    }

    #[test]
    fn colours_take_no_room() {
        let line = "\u{1b}[1;33mwarning\u{1b}[0m: it is late";
        assert_eq!(fold(line, 19, 2), [line]);
    }

    #[test]
    fn a_cell_goes_on_below_itself() {
        let text = "user        0\nstate       one two three four\n";
        let expected = "user        0\nstate       one two\n            three four\n";
        assert_eq!(fold_table(text, 24), expected);
        let far = fold_table("isolation  tried in vain  no: it is refused\n", 40);
        let expected = "isolation  tried in vain  no: it is\n                          refused\n";
        assert_eq!(far, expected);
    }
}
