//! One instruction after lexing: keyword, flags, and arguments split as the keyword asks for.

use crate::error::ParseErrorKind;
use crate::flags::{self, Flags, KnownFlag};
use crate::heredoc::Heredoc;
use crate::source::Source;
use crate::span::Span;
use crate::suggest::nearest_any_case;
use crate::text::is_space;
use crate::words::{self, RawPair};

/// All keywords.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction that is split but not yet understood.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// As written.
    pub(crate) keyword: String,
    pub(crate) flags: Vec<String>,
    pub(crate) arguments: Arguments,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The comments right above.
    pub(crate) comments: Vec<String>,
    pub(crate) source: Source,
    pub(crate) span: Span,
}

/// The arguments, by the way they are split.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Nothing is written, or the keyword is unknown.
    None,
    /// Words, or one word that is the rest of the line.
    Words(Vec<String>),
    /// A JSON array.
    Json(Vec<String>),
    /// The pairs of ENV and LABEL.
    Pairs(Vec<RawPair>),
    /// The first word of HEALTHCHECK and what follows.
    Health(String, Box<Self>),
    /// The instruction of ONBUILD.
    Trigger(Box<Node>),
}

/// A problem with an instruction, and the word that shows it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ParseErrorKind,
    pub(crate) word: Option<String>,
}

impl From<ParseErrorKind> for Failure {
    fn from(kind: ParseErrorKind) -> Self {
        Self { kind, word: None }
    }
}

impl Failure {
    pub(crate) fn at(kind: ParseErrorKind, word: &str) -> Self {
        Self {
            kind,
            word: Some(word.to_owned()),
        }
    }
}

impl Node {
    /// Splits a logical line.
    pub(crate) fn parse(
        source: Source,
        escape: char,
        comments: Vec<String>,
    ) -> Result<Self, ParseErrorKind> {
        Self::parse_nested(source, escape, comments, 0)
    }

    fn parse_nested(
        source: Source,
        escape: char,
        comments: Vec<String>,
        depth: usize,
    ) -> Result<Self, ParseErrorKind> {
        let split = flags::split(source.text(), escape);
        let arguments = arguments(&split.keyword.to_uppercase(), &split.rest, escape, depth)?;
        let (keyword, flags) = (split.keyword, split.flags);
        Ok(Self {
            keyword,
            flags,
            arguments,
            heredocs: Vec::new(),
            comments,
            source,
            span: Span::line(0),
        })
    }

    /// The keyword in capitals.
    pub(crate) fn name(&self) -> String {
        self.keyword.to_uppercase()
    }

    /// Says whether heredoc marks in the line are followed by bodies.
    pub(crate) fn can_have_heredocs(&self) -> bool {
        let node = match &self.arguments {
            Arguments::Trigger(node) => node,
            _ => self,
        };
        matches!(node.name().as_str(), "RUN" | "COPY" | "ADD")
            && !matches!(node.arguments, Arguments::Json(_))
    }

    /// Checks the flags.
    pub(crate) fn checked_flags(&self, known: &[KnownFlag]) -> Result<Flags, Failure> {
        Flags::parse(&self.flags, known).map_err(|(kind, flag)| Failure::at(kind, &flag))
    }

    /// Checks that there are no flags.
    pub(crate) fn no_flags(&self) -> Result<(), Failure> {
        self.checked_flags(&[]).map(|_| ())
    }

    /// The arguments as words, whatever form they were written in.
    pub(crate) fn words(&self) -> &[String] {
        match &self.arguments {
            Arguments::Words(words) | Arguments::Json(words) => words,
            _ => &[],
        }
    }

    /// The keyword is not known.
    pub(crate) fn unknown(&self) -> Failure {
        let suggestion = nearest_any_case(&self.keyword, KEYWORDS);
        Failure::at(
            ParseErrorKind::UnknownInstruction {
                name: self.keyword.clone(),
                suggestion,
            },
            "",
        )
    }
}

fn arguments(
    keyword: &str,
    rest: &str,
    escape: char,
    depth: usize,
) -> Result<Arguments, ParseErrorKind> {
    Ok(match keyword {
        "ADD" | "COPY" | "VOLUME" => match words::json(rest)? {
            Some(words) => Arguments::Json(words),
            None => Arguments::Words(words::whitespace(rest)),
        },
        "ARG" => Arguments::Words(words::quote_aware(rest, escape)),
        "CMD" | "ENTRYPOINT" | "RUN" | "SHELL" => json_or_text(rest)?,
        "ENV" => Arguments::Pairs(words::pairs(rest, "ENV", escape)?),
        "LABEL" => Arguments::Pairs(words::pairs(rest, "LABEL", escape)?),
        "EXPOSE" | "FROM" => Arguments::Words(words::whitespace(rest)),
        "HEALTHCHECK" => health(rest)?,
        "MAINTAINER" | "STOPSIGNAL" | "USER" | "WORKDIR" => text(rest),
        "ONBUILD" => trigger(rest, escape, depth)?,
        _ => Arguments::None,
    })
}

fn text(rest: &str) -> Arguments {
    if rest.is_empty() {
        Arguments::None
    } else {
        Arguments::Words(vec![rest.to_owned()])
    }
}

fn json_or_text(rest: &str) -> Result<Arguments, ParseErrorKind> {
    Ok(words::json(rest)?.map_or_else(|| text(rest), Arguments::Json))
}

fn health(rest: &str) -> Result<Arguments, ParseErrorKind> {
    let end = rest.find(is_space).unwrap_or(rest.len());
    if end == 0 {
        return Ok(Arguments::None);
    }
    let command = json_or_text(rest[end..].trim_start_matches(is_space))?;
    Ok(Arguments::Health(rest[..end].to_owned(), Box::new(command)))
}

/// Deeper chains of ONBUILD are refused anyway; only the first trigger's keyword is looked at.
const MAX_TRIGGERS: usize = 2;

fn trigger(rest: &str, escape: char, depth: usize) -> Result<Arguments, ParseErrorKind> {
    if rest.is_empty() || depth > MAX_TRIGGERS {
        return Ok(Arguments::None);
    }
    let mut source = Source::default();
    source.push(rest, 0, 0);
    Ok(Arguments::Trigger(Box::new(Node::parse_nested(
        source,
        escape,
        Vec::new(),
        depth + 1,
    )?)))
}
