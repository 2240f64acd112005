//! Expansion of variables, quotes and escapes in the words of an instruction.
//!
//! An [`Expander`] is told the escape character of the Dockerfile and how to look a variable up. It expands
//! one word ([`Expander::expand_word`]), a word that is split afterwards ([`Expander::expand_words`]), or
//! the body of a heredoc ([`Expander::expand_body`]).

mod dollar;
mod lexer;
mod pattern;

use crate::value::quote::quoted;
use lexer::{Lexer, Modes};

/// Looks a variable up: `None` when it is not set, which differs from empty.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Expands words with one escape character and one set of variables.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    escape: char,
    lookup: &'a Lookup<'a>,
    keep_unset: bool,
}

impl std::fmt::Debug for Expander<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expander")
            .field("escape", &self.escape)
            .field("keep_unset", &self.keep_unset)
            .finish_non_exhaustive()
    }
}

/// A word after expansion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The text, unquoted.
    pub value: String,
    /// The text split at blanks that were not quoted, or came out of a variable.
    pub words: Vec<String>,
    /// Names that were looked up and are set, in order of first use, each once.
    pub used: Vec<String>,
    /// Names that were looked up and are not set, in order of first use, each once.
    pub undefined: Vec<String>,
}

/// A word that cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {kind}", quoted(.word))]
pub struct ExpandError {
    /// The whole word, as written.
    pub word: String,
    /// What is wrong with it.
    pub kind: ExpandErrorKind,
}

impl ExpandError {
    /// The variable that the word cannot do without, if that is what is wrong.
    pub fn required(&self) -> &[String] {
        match &self.kind {
            ExpandErrorKind::Required { name, .. } => std::slice::from_ref(name),
            _ => &[],
        }
    }
}

/// What is wrong with a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandErrorKind {
    /// A quote, or the character named, is never closed.
    #[error("unexpected end of statement while looking for matching {0}")]
    Unclosed(&'static str),
    /// `${` without `}`.
    #[error("syntax error: missing '}}'")]
    BraceMissing,
    /// `${x/…` without a second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    SlashMissing,
    /// `${}`, `${:x}` or `${{`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// An unknown operator after the name.
    #[error("unsupported modifier ({0}) in substitution")]
    UnsupportedModifier(String),
    /// `${x?message}` of a variable that is not set.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message written, or the default one.
        message: String,
    },
    /// A pattern with an escape it does not know.
    #[error("invalid pattern ({pattern}) in substitution: {reason}")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Substitutions are nested too deeply.
    #[error("substitutions are nested too deeply")]
    TooDeep,
    /// Variables make the text grow beyond any use.
    #[error("the expanded text is longer than 16 MiB")]
    TooLong,
}

impl<'a> Expander<'a> {
    /// Makes an expander; unset variables become empty.
    pub fn new(escape: char, lookup: &'a Lookup<'a>) -> Self {
        Self {
            escape,
            lookup,
            keep_unset: false,
        }
    }

    /// Leaves references to unset variables as they are written, as progress titles show them.
    #[must_use]
    pub fn keeping_unset(self) -> Self {
        Self {
            keep_unset: true,
            ..self
        }
    }

    /// Expands a word: variables are replaced, quotes and escapes removed.
    ///
    /// # Errors
    ///
    /// If the word has an open quote, a bad `${…}`, or requires a variable that is not set.
    pub fn expand_word(&self, word: &str) -> Result<Expanded, ExpandError> {
        self.process(
            word,
            Modes {
                escape: self.escape,
                keep_unset: self.keep_unset,
                ..Modes::default()
            },
        )
    }

    /// Expands a word and splits the result at blanks, as EXPOSE does.
    ///
    /// # Errors
    ///
    /// As [`Expander::expand_word`].
    pub fn expand_words(&self, word: &str) -> Result<Vec<String>, ExpandError> {
        self.expand_word(word).map(|expanded| expanded.words)
    }

    /// Expands the body of an unquoted heredoc: quotes are ordinary characters, and the backslash escapes any
    /// character whatever the escape directive says.
    ///
    /// # Errors
    ///
    /// As [`Expander::expand_word`], except that quotes cannot be open.
    pub fn expand_body(&self, body: &str) -> Result<Expanded, ExpandError> {
        self.process(
            body,
            Modes {
                escape: '\\',
                skip_quotes: true,
                keep_unset: self.keep_unset,
                ..Modes::default()
            },
        )
    }

    fn process(&self, word: &str, modes: Modes) -> Result<Expanded, ExpandError> {
        Lexer::new(word, modes, self.lookup)
            .run()
            .map_err(|kind| ExpandError {
                word: word.to_owned(),
                kind,
            })
    }
}

/// Splits a line into shell words for finding heredocs: quotes, escapes and variables stay as written.
///
/// A line that cannot be split has no words.
pub(crate) fn raw_words(line: &str) -> Vec<String> {
    let modes = Modes {
        escape: '\\',
        raw_quotes: true,
        raw_escapes: true,
        keep_unset: true,
        ..Modes::default()
    };
    Lexer::new(line, modes, &|_| None)
        .run()
        .map(|expanded| expanded.words)
        .unwrap_or_default()
}

/// Splits a heredoc's name into words, with or without its quotes.
pub(crate) fn name_words(name: &str, raw_quotes: bool) -> Result<Vec<String>, ExpandError> {
    let modes = Modes {
        escape: '\\',
        raw_quotes,
        keep_unset: true,
        ..Modes::default()
    };
    let expanded = Lexer::new(name, modes, &|_| None).run();
    expanded
        .map(|expanded| expanded.words)
        .map_err(|kind| ExpandError {
            word: name.to_owned(),
            kind,
        })
}

#[cfg(test)]
mod tests;
