//! The only renderer of errors: what failed, where in the file, why, what to do next, and the exit code.

mod excerpt;

use std::error::Error;
use std::fmt::Write as _;

use serde_json::json;
use yadokari_build::BuildError;

pub use self::excerpt::Excerpt;

use self::excerpt::Naming;
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
            excerpt.render(paper, Naming::InWords, &mut out);
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
    use super::*;

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
