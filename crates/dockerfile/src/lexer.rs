//! Bytes to logical lines: line ends, directives, comments, continuations and heredoc bodies.

use crate::directive::{Directives, without_bom};
use crate::error::{ParseError, ParseErrorKind};
use crate::node::Node;
use crate::source::Source;
use crate::span::Span;
use crate::text::{decode, is_space, trim_newline};

/// The longest physical line, without its newline.
const MAX_LINE: usize = 65_535;

/// What the file consists of.
#[derive(Debug)]
pub(crate) struct Lexed {
    pub(crate) nodes: Vec<Node>,
    pub(crate) escape: char,
    /// Lines on which an instruction with a blank continuation line ends.
    pub(crate) empty_continuations: Vec<usize>,
}

/// Reads a whole file.
pub(crate) fn lex(bytes: &[u8]) -> Result<Lexed, ParseError> {
    let mut lexer = Lexer::new(bytes);
    while let Some(line) = lexer.lines.next() {
        lexer.first_line(line)?;
    }
    lexer.finish()
}

struct Lexer<'a> {
    lines: Lines<'a>,
    directives: Directives,
    comments: Vec<String>,
    out: Lexed,
}

impl<'a> Lexer<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let out = Lexed {
            nodes: Vec::new(),
            escape: '\\',
            empty_continuations: Vec::new(),
        };
        Self {
            lines: Lines {
                rest: bytes,
                number: 0,
                too_long: false,
            },
            directives: Directives::new(),
            comments: Vec::new(),
            out,
        }
    }

    /// Handles a line on which an instruction may start.
    fn first_line(&mut self, raw: &[u8]) -> Result<(), ParseError> {
        let number = self.lines.number;
        let (skipped, raw) = if number == 1 {
            (raw.len() - without_bom(raw).len(), without_bom(raw))
        } else {
            (0, raw)
        };
        let line = decode(trim_newline(raw));
        let text = line.trim_start_matches(is_space);
        let is_directive = self.directive(text)?;
        if text.starts_with('#') {
            if !is_directive {
                self.comment(&line);
            }
            return Ok(());
        }
        let (text, continues) = self.without_continuation(text);
        if text.is_empty() && !continues {
            return Ok(());
        }
        let mut source = Source::default();
        source.push(
            &text,
            number,
            skipped + line.len() - line.trim_start_matches(is_space).len(),
        );
        let had_blank_line = continues && self.continuation_lines(&mut source);
        if had_blank_line {
            self.out.empty_continuations.push(self.lines.number);
        }
        self.instruction(source, number)
    }

    fn directive(&mut self, text: &str) -> Result<bool, ParseError> {
        let at = |kind| ParseError::lexing(kind, Some(Span::line(self.lines.number)));
        let Some(directive) = self.directives.next(text).map_err(at)? else {
            return Ok(false);
        };
        if directive.name == "escape" {
            self.out.escape = match directive.value.as_str() {
                "`" => '`',
                "\\" => '\\',
                _ => return Err(at(ParseErrorKind::InvalidEscape(directive.value))),
            };
        }
        Ok(true)
    }

    /// Remembers a comment for the instruction that follows; a bare `#` forgets those before it.
    fn comment(&mut self, line: &str) {
        let mut chars = line.chars();
        chars.next();
        match chars.as_str().trim_matches(is_space) {
            "" => self.comments.clear(),
            comment => self.comments.push(comment.to_owned()),
        }
    }

    /// Appends the lines that continue an instruction; says whether one of them was blank.
    fn continuation_lines(&mut self, source: &mut Source) -> bool {
        let mut had_blank_line = false;
        while let Some(raw) = self.lines.next() {
            let line = decode(trim_newline(raw));
            let trimmed = line.trim_start_matches(is_space);
            if trimmed.starts_with('#') {
                continue;
            }
            if trimmed.is_empty() {
                had_blank_line = true;
                continue;
            }
            let (text, continues) = self.without_continuation(&line);
            source.push(&text, self.lines.number, 0);
            if !continues {
                break;
            }
        }
        had_blank_line
    }

    /// Takes a continuation mark off a line; an escaped escape character is none.
    fn without_continuation(&self, line: &str) -> (String, bool) {
        let escape = self.out.escape;
        let marked = line.trim_end_matches([' ', '\t']).strip_suffix(escape);
        match marked.filter(|text| !text.ends_with(escape)) {
            Some(text) => (text.to_owned(), true),
            None => (line.to_owned(), false),
        }
    }

    fn instruction(&mut self, source: Source, first: usize) -> Result<(), ParseError> {
        let comments = std::mem::take(&mut self.comments);
        let span = Span::lines(first, self.lines.number);
        let node = Node::parse(source, self.out.escape, comments);
        let mut node = node.map_err(|kind| ParseError::lexing(kind, Some(span)))?;
        self.heredocs(&mut node, span)?;
        node.span = Span::lines(first, self.lines.number);
        self.out.nodes.push(node);
        Ok(())
    }

    fn heredocs(&mut self, node: &mut Node, span: Span) -> Result<(), ParseError> {
        if !node.can_have_heredocs() || !node.source.text().contains("<<") {
            return Ok(());
        }
        let announced = crate::heredoc::announced(node.source.text());
        for mut heredoc in announced.map_err(|error| {
            ParseError::lexing(ParseErrorKind::HeredocName(Box::new(error)), Some(span))
        })? {
            loop {
                let Some(line) = self.lines.next() else {
                    let span = Span::lines(span.first_line, self.lines.number);
                    return Err(ParseError::lexing(
                        ParseErrorKind::UnterminatedHeredoc { name: heredoc.name },
                        Some(span),
                    ));
                };
                if heredoc.ends_at(trim_newline(line)) {
                    break;
                }
                heredoc.raw_body.extend_from_slice(line);
            }
            node.heredocs.push(heredoc);
        }
        Ok(())
    }

    fn finish(self) -> Result<Lexed, ParseError> {
        let span = (self.lines.number > 0).then(|| Span::line(self.lines.number));
        if self.out.nodes.is_empty() {
            return Err(ParseError::lexing(ParseErrorKind::NoInstructions, span));
        }
        if self.lines.too_long {
            return Err(ParseError::lexing(ParseErrorKind::LineTooLong, span));
        }
        Ok(self.out)
    }
}

/// Physical lines with their line ends. A line that is too long ends the file.
struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the line given last.
    number: usize,
    too_long: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || self.too_long {
            return None;
        }
        let newline = self.rest.iter().position(|b| *b == b'\n');
        if newline.unwrap_or(self.rest.len()) > MAX_LINE {
            self.too_long = true;
            return None;
        }
        let (line, rest) = self
            .rest
            .split_at(newline.map_or(self.rest.len(), |at| at + 1));
        self.rest = rest;
        self.number += 1;
        Some(line)
    }
}
