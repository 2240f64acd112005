//! The only renderer of errors: what failed, where in the file, why, what to do next, and the exit code.

use std::error::Error;
use std::fmt::Write as _;

use serde_json::json;
use yadokari_build::BuildError;
use yadokari_dockerfile::Span;

use crate::advice;
use crate::console::fold::fold;
use crate::console::style::{Ink, Paper, paint};
use crate::convert::UsageError;

/// Exit code of a command line that cannot be used.
pub const UNUSABLE: u8 = 2;
/// Exit code of every other failure than a RUN's own.
pub const FAILED: u8 = 1;

/// A failure as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, in one line.
    pub message: String,
    /// Where in the Dockerfile.
    pub excerpt: Option<Box<Excerpt>>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// The program's exit code.
    pub code: u8,
}

/// The lines of a file that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
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
enum Naming {
    /// By its number.
    Short,
    /// In words too, where the file's name does not tell what kind of file it is.
    InWords,
}

/// More lines than these of one instruction are not shown.
const MOST_LINES: usize = 8;

impl Failure {
    /// An error and all its causes, with exit code 1 and no place.
    pub fn new(error: &(dyn Error + 'static)) -> Self {
        Self {
            message: error.to_string(),
            excerpt: None,
            causes: causes(error),
            hint: None,
            code: FAILED,
        }
    }

    /// The same with a hint.
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// A failure that is only a sentence.
    pub fn told(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            excerpt: None,
            causes: Vec::new(),
            hint: None,
            code: FAILED,
        }
    }

    /// The facts for machines.
    pub fn to_json(&self) -> serde_json::Value {
        let place = self.excerpt.as_ref();
        json!({
            "message": self.message,
            "file": place.map(|place| &place.file),
            "line": place.map(|place| place.span.first_line),
            "causes": self.causes,
            "hint": self.hint,
            "code": self.code,
        })
    }

    /// The lines for people, each with its end.
    pub(crate) fn render(&self, paper: Paper) -> String {
        let mut out = String::new();
        let label = paint(paper.color, Ink::Error, "error");
        line(&mut out, paper, "", &label, &self.message);
        if let Some(excerpt) = &self.excerpt {
            excerpt.render(paper.color, Naming::InWords, &mut out);
        }
        for cause in &self.causes {
            line(&mut out, paper, "  ", "cause", cause);
        }
        if let Some(hint) = &self.hint {
            let label = paint(paper.color, Ink::Strong, "hint");
            line(&mut out, paper, "", &label, hint);
        }
        out
    }

    /// The lines for people on endless paper without colours, each with its end.
    pub fn to_text(&self) -> String {
        self.render(Paper {
            color: false,
            columns: None,
        })
    }
}

impl From<&BuildError> for Failure {
    fn from(error: &BuildError) -> Self {
        let excerpt = error
            .location()
            .map(|place| Box::new(Excerpt::cut(place.name, place.bytes, place.span)));
        let mut failure = Self::new(error);
        failure.causes.extend(advice::cause(error));
        Self {
            excerpt,
            hint: advice::hint(error),
            code: error.exit_code(),
            ..failure
        }
    }
}

impl From<&UsageError> for Failure {
    fn from(error: &UsageError) -> Self {
        Self {
            hint: error.hint(),
            code: UNUSABLE,
            ..Self::new(error)
        }
    }
}

impl Excerpt {
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
    pub fn to_text(&self, color: bool) -> String {
        let mut out = String::new();
        self.render(color, Naming::Short, &mut out);
        out
    }

    fn render(&self, color: bool, naming: Naming, out: &mut String) {
        let line = self
            .span
            .columns
            .map_or(self.span.first_line, |columns| columns.line);
        let width = self.span.last_line.to_string().len();
        let arrow = paint(color, Ink::Faint, "-->");
        // Files of other names say in words that the number is a line.
        let words = match naming {
            Naming::InWords if !self.file.ends_with("Dockerfile") => format!(" (line {line})"),
            _ => String::new(),
        };
        let _ = writeln!(
            out,
            "{:width$} {arrow} {}:{line}{}{words}",
            "",
            self.file,
            self.column()
        );
        for (offset, text) in self.shown().iter().enumerate() {
            let number = self.span.first_line + offset;
            let _ = writeln!(
                out,
                "{} {}",
                bar(color, &number.to_string(), width),
                expand(text)
            );
            if let Some(marks) = self.marks(number, text) {
                let _ = writeln!(
                    out,
                    "{} {}",
                    bar(color, "", width),
                    paint(color, Ink::Error, &marks)
                );
            }
        }
        if self.lines.len() > self.shown().len() {
            let _ = writeln!(out, "{} …", bar(color, "", width));
        }
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

    fn marks(&self, number: usize, text: &str) -> Option<String> {
        let columns = self.span.columns.filter(|columns| columns.line == number)?;
        let before = expand(text.get(..columns.start)?).chars().count();
        let marked = expand(text.get(columns.start..columns.end.min(text.len()))?)
            .chars()
            .count()
            .max(1);
        Some(format!("{}{}", " ".repeat(before), "^".repeat(marked)))
    }
}

fn bar(color: bool, number: &str, width: usize) -> String {
    paint(color, Ink::Faint, &format!("{number:>width$} |"))
}

/// Tabs have a width of four, so that marks stand below what they mark.
fn expand(text: &str) -> String {
    text.replace('\t', "    ")
}

/// A label and a text whose further lines are indented below the first.
fn line(out: &mut String, paper: Paper, indent: &str, label: &str, text: &str) {
    let mut lines = text.lines();
    let first = format!("{indent}{label}: {}", lines.next().unwrap_or_default());
    let more = lines.map(|more| format!("{indent}  {more}"));
    for line in std::iter::once(first).chain(more) {
        let pieces = match paper.columns {
            Some(columns) => fold(&line, columns, indent.len() + 2),
            None => vec![line],
        };
        for piece in pieces {
            let _ = writeln!(out, "{piece}");
        }
    }
}

/// What lies behind an error; a text that the one before it already holds is not repeated.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut told = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.iter().any(|earlier| earlier.contains(&text)) {
            told.push(text);
        }
        next = cause.source();
    }
    told.split_off(1)
}

#[cfg(test)]
mod tests {
    use yadokari_dockerfile::Columns;

    use super::*;

    const FILE: &[u8] = b"FROM busybox\n\nCOPY dist/app /usr/bin/\nRUN a && \\\n\tb\n";

    fn failure(span: Span) -> Failure {
        Failure {
            message: "source `dist/app` is not in the build context".to_owned(),
            excerpt: Some(Box::new(Excerpt::cut("Dockerfile", FILE, span))),
            causes: vec!["excluded by .dockerignore:3 (`dist/`)".to_owned()],
            hint: Some("add `!dist/app` to .dockerignore".to_owned()),
            code: FAILED,
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
        let warned = failure.excerpt.unwrap().to_text(false);
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

    #[test]
    fn a_cause_that_was_told_is_not_repeated() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer: inner")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner(#[source] std::io::Error);
        let error = Outer(Inner(std::io::Error::other("root")));
        assert_eq!(causes(&error), ["root"]);
    }
}
