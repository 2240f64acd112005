//! The text of one instruction, and where each part of it stands in the file.

use crate::span::Columns;
use crate::text::is_separator;

/// A logical line: the physical lines of an instruction joined, without heredoc bodies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    offset: usize,
    line: usize,
    column: usize,
}

impl Source {
    /// The joined text, as the instruction is parsed from it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Finds a word as it is written (unexpanded) behind the keyword, and says where that is.
    ///
    /// `None` if the word is not there; JSON strings are not found when they hold escapes.
    pub fn find(&self, word: &str) -> Option<Columns> {
        let start = self.text.find(is_separator).unwrap_or(self.text.len());
        self.find_from(start, word)
    }

    /// The place of the keyword.
    pub fn keyword(&self) -> Option<Columns> {
        let end = self.text.find(is_separator).unwrap_or(self.text.len());
        self.columns(0, end)
    }

    pub(crate) fn push(&mut self, text: &str, line: usize, column: usize) {
        if !text.is_empty() {
            self.pieces.push(Piece {
                offset: self.text.len(),
                line,
                column,
            });
            self.text.push_str(text);
        }
    }

    fn find_from(&self, start: usize, word: &str) -> Option<Columns> {
        if word.is_empty() {
            return None;
        }
        let rest = &self.text[start..];
        let mut found = rest.match_indices(word).map(|(at, _)| at);
        let whole = found.clone().find(|at| stands_alone(rest, *at, word.len()));
        let at = start + whole.or_else(|| found.next())?;
        self.columns(at, at + word.len())
    }

    fn columns(&self, start: usize, end: usize) -> Option<Columns> {
        let index = self
            .pieces
            .iter()
            .rposition(|piece| piece.offset <= start)?;
        let piece = &self.pieces[index];
        let limit = self
            .pieces
            .get(index + 1)
            .map_or(self.text.len(), |next| next.offset);
        let column = |at: usize| at - piece.offset + piece.column;
        Some(Columns {
            line: piece.line,
            start: column(start),
            end: column(end.min(limit)),
        })
    }
}

fn stands_alone(text: &str, at: usize, length: usize) -> bool {
    text[..at].ends_with(is_separator)
        && (at + length == text.len() || text[at + length..].starts_with(is_separator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_their_physical_line() {
        let mut source = Source::default();
        source.push("COPY ab a ", 3, 2);
        source.push("  c", 5, 0);
        assert_eq!(source.text(), "COPY ab a   c");
        assert_eq!(
            source.keyword(),
            Some(Columns {
                line: 3,
                start: 2,
                end: 6
            })
        );
        assert_eq!(
            source.find("a"),
            Some(Columns {
                line: 3,
                start: 10,
                end: 11
            })
        );
        assert_eq!(
            source.find("c"),
            Some(Columns {
                line: 5,
                start: 2,
                end: 3
            })
        );
        assert_eq!(source.find("COPY"), None);
        assert_eq!(source.find(""), None);
    }
}
