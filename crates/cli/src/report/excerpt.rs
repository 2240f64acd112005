//! The lines of a file that a message is about.

use std::fmt::Write as _;
use std::ops::Range;

use console::truncate_str;
use yadokari_build::SourceFile;
use yadokari_dockerfile::Span;

use crate::console::style::{Ink, Paper, paint};

/// The lines of a file that a message is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Excerpt {
    /// The file's name as the user knows it.
    pub file: String,
    /// The lines of the span, the first one being `span.first_line`.
    pub lines: Vec<String>,
    /// Where they are.
    pub span: Span,
}

/// How the line of an excerpt is named.
#[derive(Debug, Clone, Copy)]
pub(super) enum Naming {
    /// By its number.
    Short,
    /// In words too, where the file's name does not tell what kind of file it is.
    InWords,
}

/// A line as it is shown, with the marks below it.
struct Row {
    text: String,
    marks: Option<String>,
}

/// More lines than these of one instruction are not shown.
const MOST_LINES: usize = 8;

impl Excerpt {
    /// Cuts the lines of `span` out of a Dockerfile.
    pub fn of(file: &SourceFile, span: Span) -> Self {
        Self::cut(&file.name, &file.bytes, span)
    }

    /// Cuts the lines of `span` out of a file.
    pub fn cut(file: &str, source: &[u8], span: Span) -> Self {
        let text = String::from_utf8_lossy(source);
        let count = (span.last_line + 1).saturating_sub(span.first_line);
        let lines = text
            .lines()
            .skip(span.first_line.saturating_sub(1))
            .take(count);
        Self {
            file: file.to_owned(),
            lines: lines.map(str::to_owned).collect(),
            span,
        }
    }

    /// The place and its lines, each with its end, below words that name the line.
    pub(crate) fn to_text(&self, paper: Paper) -> String {
        let mut out = String::new();
        self.render(paper, Naming::Short, &mut out);
        out
    }

    pub(super) fn render(&self, paper: Paper, naming: Naming, out: &mut String) {
        let width = self.span.last_line.to_string().len();
        self.place(paper, naming, width, out);
        let bar = |number: &str| paint(paper.color, Ink::Faint, &format!("{number:>width$} |"));
        let room = paper
            .columns
            .map(|columns| columns.saturating_sub(width + 3));
        for (offset, text) in self.shown().iter().enumerate() {
            let number = self.span.first_line + offset;
            let row = Row::new(text, self.mark(number, text), room);
            let _ = writeln!(out, "{} {}", bar(&number.to_string()), row.text);
            if let Some(marks) = row.marks {
                let marks = paint(paper.color, Ink::Error, &marks);
                let _ = writeln!(out, "{} {marks}", bar(""));
            }
        }
        if self.lines.len() > self.shown().len() {
            let _ = writeln!(out, "{} …", bar(""));
        }
    }

    /// The file and the line, beside an arrow that stands above the bars.
    fn place(&self, paper: Paper, naming: Naming, width: usize, out: &mut String) {
        let columns = self.span.columns;
        let line = columns.map_or(self.span.first_line, |columns| columns.line);
        let arrow = paint(paper.color, Ink::Faint, "-->");
        // Files of other names say in words that the number is a line.
        let words = match naming {
            Naming::InWords if !self.file.ends_with("Dockerfile") => format!(" (line {line})"),
            _ => String::new(),
        };
        let (file, column) = (&self.file, self.column());
        let _ = writeln!(out, "{:width$} {arrow} {file}:{line}{column}{words}", "");
    }

    /// All lines, or the first ones, but always the one that is marked.
    fn shown(&self) -> &[String] {
        let marked = self.span.columns.map_or(0, |columns| {
            columns.line + 1 - self.span.first_line.min(columns.line)
        });
        &self.lines[..self.lines.len().min(MOST_LINES.max(marked))]
    }

    fn column(&self) -> String {
        let text = self.span.columns.and_then(|columns| {
            let text = self
                .lines
                .get(columns.line.checked_sub(self.span.first_line)?)?;
            Some(text.get(..columns.start)?.chars().count() + 1)
        });
        text.map(|column| format!(":{column}")).unwrap_or_default()
    }

    /// The characters of a line that are marked, as it is shown.
    fn mark(&self, number: usize, text: &str) -> Option<Range<usize>> {
        let columns = self.span.columns.filter(|columns| columns.line == number)?;
        let before = text.get(..columns.start)?;
        let marked = text.get(columns.start..columns.end.min(text.len()))?;
        let count = |text: &str| expand(text).chars().count();
        let start = count(before);
        Some(start..start + count(marked).max(1))
    }
}

impl Row {
    /// A line on paper with so much room. Of one that is too long, the part with the mark is shown.
    fn new(text: &str, mark: Option<Range<usize>>, room: Option<usize>) -> Self {
        let text = expand(text);
        let Some(room) = room else {
            let marks = mark.map(|mark| marks(&mark));
            return Self { text, marks };
        };
        let skipped = skipped(text.chars().count(), mark.as_ref(), room);
        let shown = match skipped {
            0 => text,
            _ => text.chars().skip(skipped + 1).fold("…".to_owned(), push),
        };
        let marks = mark.map(|mark| marks(&(mark.start - skipped..mark.end - skipped)));
        Self {
            text: truncate_str(&shown, room, "…").into_owned(),
            marks: marks.map(|marks| truncate_str(&marks, room, "").into_owned()),
        }
    }
}

/// How many characters at the start of a line have to make room for its mark.
fn skipped(count: usize, mark: Option<&Range<usize>>, room: usize) -> usize {
    match mark {
        // The last character that is shown says that the line is cut.
        Some(mark) if count > room && mark.end >= room => {
            let before = mark.start.saturating_sub(room / 3);
            before.min(count.saturating_sub(room))
        }
        _ => 0,
    }
}

fn marks(mark: &Range<usize>) -> String {
    " ".repeat(mark.start) + &"^".repeat(mark.len())
}

fn push(mut text: String, character: char) -> String {
    text.push(character);
    text
}

/// Tabs have a width of four, so that marks stand below what they mark.
fn expand(text: &str) -> String {
    text.replace('\t', "    ")
}

#[cfg(test)]
mod tests {
    use yadokari_dockerfile::Columns;

    use super::*;
    use crate::report::Failure;

    const ENDLESS: Paper = Paper {
        color: false,
        columns: None,
    };

    const FILE: &[u8] = b"FROM busybox\n\nCOPY dist/app /usr/bin/\nRUN a && \\\n\tb\n";

    fn failure(span: Span) -> Failure {
        Failure {
            message: "source `dist/app` is not in the build context".to_owned(),
            excerpt: Some(Box::new(Excerpt::cut("Dockerfile", FILE, span))),
            causes: vec!["excluded by .dockerignore:3 (`dist/`)".to_owned()],
            hint: Some("add `!dist/app` to .dockerignore".to_owned()),
            code: 1,
        }
    }

    #[test]
    fn a_word_is_marked_below_its_line() {
        let span = Span::line(3).narrowed(Some(Columns {
            line: 3,
            start: 5,
            end: 13,
        }));
        let expected = "\
error: source `dist/app` is not in the build context
  --> Dockerfile:3:6
3 | COPY dist/app /usr/bin/
  |      ^^^^^^^^
  cause: excluded by .dockerignore:3 (`dist/`)
hint: add `!dist/app` to .dockerignore
";
        assert_eq!(failure(span).to_text(), expected);
    }

    #[test]
    fn whole_lines_are_shown_without_marks_and_tabs_are_spaces() {
        let rendered = failure(Span::lines(4, 5)).to_text();
        assert!(
            rendered.contains("  --> Dockerfile:4\n4 | RUN a && \\\n5 |     b\n"),
            "{rendered}"
        );
    }

    #[test]
    fn a_file_of_another_name_says_line_in_words() {
        let mut failure = failure(Span::line(1));
        failure.excerpt.as_mut().unwrap().file = "app.docker".to_owned();
        assert!(failure.to_text().contains("--> app.docker:1 (line 1)"));
        let warned = failure.excerpt.unwrap().to_text(ENDLESS);
        assert!(warned.contains("--> app.docker:1\n"), "{warned}");
    }

    #[test]
    fn places_outside_the_file_are_no_panic() {
        for span in [
            Span::lines(90, 95),
            Span::lines(0, 0),
            Span::lines(5, 1),
            Span::line(3).narrowed(Some(Columns {
                line: 3,
                start: 500,
                end: 600,
            })),
            Span::line(3).narrowed(Some(Columns {
                line: 1,
                start: 0,
                end: 1,
            })),
            Span::line(3).narrowed(Some(Columns {
                line: 3,
                start: 6,
                end: 2,
            })),
        ] {
            failure(span).render(Paper {
                color: true,
                columns: Some(20),
            });
        }
    }

    /// A long line with a mark, on paper of 30 columns.
    fn narrow(text: &str, mark: Range<usize>) -> String {
        let span = Span::line(1).narrowed(Some(Columns {
            line: 1,
            start: mark.start,
            end: mark.end,
        }));
        let paper = Paper {
            color: false,
            columns: Some(30),
        };
        let excerpt = Excerpt::cut("Dockerfile", text.as_bytes(), span);
        let shown = excerpt.to_text(paper);
        let (_, lines) = shown.split_once('\n').unwrap();
        lines.to_owned()
    }

    #[test]
    fn a_long_line_is_cut_to_the_paper_and_its_mark_is_seen() {
        let text = "COPY one two three four five six seven /destination/";
        let expected = "\
1 | COPY one two three four f…
  |      ^^^
";
        assert_eq!(narrow(text, 5..8), expected);
        let expected = "\
1 | …ve six seven /destinatio…
  |         ^^^^^
";
        assert_eq!(narrow(text, 33..38), expected);
        let expected = "\
1 | …e six seven /destination/
  |              ^^^^^^^^^^^^^
";
        assert_eq!(narrow(text, 39..52), expected);
    }
}
