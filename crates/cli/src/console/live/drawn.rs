//! The last rows of a terminal, which are drawn again and again.

use console::measure_text_width;

use super::frame::Size;

/// What stands below the lines that stay. The cursor is at the start of the row after it.
///
/// There it does no harm that the terminal shows a `^C` that is typed: the next picture goes over it.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    lines: Vec<String>,
}

impl Drawn {
    /// What to write to have another picture in its place.
    pub(super) fn replace(&mut self, picture: Vec<String>, size: Size) -> String {
        let mut out = self.back(size);
        for line in &picture {
            // The whole row, and not what the line leaves of it: of a row that was wider once, a terminal that becomes
            // narrower can make two, though the rest is blank.
            out.push_str(ERASE_ROW);
            out.push_str(line);
            out.push('\n');
        }
        out.push_str(ERASE);
        self.lines = picture;
        out
    }

    /// What to write to have lines above it that stay.
    pub(super) fn above(&self, text: &str, size: Size) -> String {
        let picture = self.lines.iter().map(|line| format!("{line}\n"));
        format!(
            "{}{ERASE}{text}\n{}",
            self.back(size),
            picture.collect::<String>()
        )
    }

    /// What to write to have nothing there.
    pub(super) fn clear(&mut self, size: Size) -> String {
        let out = format!("{}{ERASE}", self.back(size));
        self.lines.clear();
        out
    }

    /// Moves the cursor to where the picture begins. A terminal that became narrower has broken its lines.
    fn back(&self, size: Size) -> String {
        let rows: usize = self.lines.iter().map(|line| rows(line, size)).sum();
        match rows.min(size.rows.saturating_sub(1)) {
            0 => "\r".to_owned(),
            rows => format!("\r\u{1b}[{rows}A"),
        }
    }
}

/// Erases the row that the cursor is in.
const ERASE_ROW: &str = "\u{1b}[2K";
/// Erases from the cursor to the end of the screen.
const ERASE: &str = "\u{1b}[J";

fn rows(line: &str, size: Size) -> usize {
    measure_text_width(line)
        .div_ceil(size.columns.max(1))
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(rows: usize, columns: usize) -> Size {
        Size { rows, columns }
    }

    fn picture(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_picture_goes_over_the_one_before() {
        let mut drawn = Drawn::default();
        let first = drawn.replace(picture(&["one", "two"]), size(24, 80));
        assert_eq!(first, "\r\u{1b}[2Kone\n\u{1b}[2Ktwo\n\u{1b}[J");
        let second = drawn.replace(picture(&["three"]), size(24, 80));
        assert_eq!(second, "\r\u{1b}[2A\u{1b}[2Kthree\n\u{1b}[J");
        assert_eq!(drawn.clear(size(24, 80)), "\r\u{1b}[1A\u{1b}[J");
        assert_eq!(drawn.clear(size(24, 80)), "\r\u{1b}[J", "nothing is left");
    }

    #[test]
    fn lines_that_stay_stand_above_it() {
        let mut drawn = Drawn::default();
        drawn.replace(picture(&["one"]), size(24, 80));
        let out = drawn.above("warning", size(24, 80));
        assert_eq!(out, "\r\u{1b}[1A\u{1b}[Jwarning\none\n");
    }

    #[test]
    fn rows_that_a_narrower_terminal_broke_are_taken_away_too() {
        let mut drawn = Drawn::default();
        let wide = format!("\u{1b}[1m{}\u{1b}[0m", "x".repeat(79));
        drawn.replace(picture(&[&wide, "short"]), size(24, 80));
        assert_eq!(drawn.clear(size(24, 30)), "\r\u{1b}[4A\u{1b}[J");
    }

    #[test]
    fn the_cursor_never_goes_above_the_screen() {
        let mut drawn = Drawn::default();
        drawn.replace(vec!["x".to_owned(); 20], size(24, 80));
        assert_eq!(drawn.clear(size(5, 80)), "\r\u{1b}[4A\u{1b}[J");
    }
}
