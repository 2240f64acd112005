//! Places in a Dockerfile.

/// The physical lines an instruction, a word or a problem covers.
///
/// Lines are counted from 1. An instruction's span runs from the line that holds its keyword to the last
/// line of its last continuation or heredoc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// First physical line, from 1.
    pub first_line: usize,
    /// Last physical line, inclusive.
    pub last_line: usize,
    /// The bytes of one line the span is about, where that is known more exactly than by lines.
    pub columns: Option<Columns>,
}

/// A range of bytes in one physical line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Columns {
    /// The physical line, from 1.
    pub line: usize,
    /// First byte, from 0.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// Covers whole lines.
    pub fn lines(first_line: usize, last_line: usize) -> Self {
        Self {
            first_line,
            last_line,
            columns: None,
        }
    }

    /// Covers one whole line.
    pub fn line(line: usize) -> Self {
        Self::lines(line, line)
    }

    /// Narrows this span down to some bytes of one of its lines.
    pub fn narrowed(self, columns: Option<Columns>) -> Self {
        Self { columns, ..self }
    }
}
