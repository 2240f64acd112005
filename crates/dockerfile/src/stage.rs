//! What a Dockerfile is: global arguments and stages.

use crate::instruction::{Arg, Instruction, Located};
use crate::lint::{CheckOptions, Lint, Warning};
use crate::source::Source;
use crate::span::Span;

/// A parsed Dockerfile and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// The warnings that parsing alone decides, in order of their lines. They are **not** filtered by
    /// [`Dockerfile::check`], only by comments above instructions.
    pub warnings: Vec<Warning>,
}

/// A Dockerfile. It has at least one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The escape character, `\` or `` ` ``.
    pub escape: char,
    /// The frontend image that a syntax directive asks for.
    pub syntax: Option<String>,
    /// Which checks are on, from the check directive or what replaces it.
    pub check: CheckOptions,
    /// ARG instructions before the first FROM.
    pub global_args: Vec<Located<Arg>>,
    /// The stages in written order.
    pub stages: Vec<Stage>,
}

/// One FROM and the instructions that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its place in the file, from 0.
    pub index: usize,
    /// Its name in lowercase.
    pub name: Option<String>,
    /// The base image or stage, unexpanded.
    pub base: String,
    /// `--platform`, unexpanded; absent also when empty.
    pub platform: Option<String>,
    /// What a comment above (`# name …`) says about it.
    pub description: Option<String>,
    /// The lines of the FROM.
    pub span: Span,
    /// The keyword as written.
    pub keyword: String,
    /// The text of the FROM, continuation lines joined.
    pub source: Source,
    /// Check options of comments above the FROM.
    pub check: CheckOptions,
    /// Its instructions in written order.
    pub instructions: Vec<Located<Instruction>>,
}

impl Stage {
    /// Makes a warning about the FROM, unless a comment above turns the rule off.
    pub fn warn(&self, lint: Lint) -> Option<Warning> {
        Warning::local(lint, self.span, &self.check)
    }

    /// The span narrowed down to a word of the FROM.
    pub fn span_of(&self, word: &str) -> Span {
        self.span.narrowed(self.source.find(word))
    }
}

impl Dockerfile {
    /// Finds a stage by its name, ignoring case; the last one if several have it.
    pub fn stage_named(&self, name: &str) -> Option<&Stage> {
        let name = name.to_lowercase();
        self.stages
            .iter()
            .rfind(|stage| stage.name.as_deref() == Some(name.as_str()))
    }
}
