//! Instructions to stages.

use crate::error::{ParseError, ParseErrorKind, Phase};
use crate::instruction::{Arg, FROM_FLAGS, Instruction, Located, description};
use crate::lexer::Lexed;
use crate::lint::{CheckOptions, Earlier, Lint, Warning};
use crate::node::{Failure, Node};
use crate::parse_lint;
use crate::span::Span;
use crate::stage::{Dockerfile, Parsed, Stage};

/// The part of the file that is read so far.
#[derive(Default)]
pub(crate) struct Assembly {
    global_args: Vec<Located<Arg>>,
    stages: Vec<Stage>,
    warnings: Vec<Warning>,
}

impl Assembly {
    /// Appends an instruction.
    pub(crate) fn add(&mut self, node: &Node) -> Result<(), ParseError> {
        let check = CheckOptions::from_comments(&node.comments);
        let fail = |failure| located(node, failure);
        if node.name() == "FROM" {
            self.lint(node, &check, parse_lint::from(node));
            let stage = self.stage(node, check).map_err(fail)?;
            self.lint(
                node,
                &stage.check,
                parse_lint::stage_description(node, &stage),
            );
            self.stages.push(stage);
            return Ok(());
        }
        let instruction = Instruction::parse(node).map_err(fail)?;
        self.lint(node, &check, parse_lint::instruction(node, &instruction));
        let instruction = locate(node, instruction, check);
        match (self.stages.last_mut(), instruction) {
            (Some(stage), instruction) => stage.instructions.push(instruction),
            (
                None,
                Located {
                    value: Instruction::Arg(arg),
                    span,
                    keyword,
                    source,
                    check,
                },
            ) => {
                self.global_args.push(Located {
                    value: arg,
                    span,
                    keyword,
                    source,
                    check,
                });
            }
            (None, instruction) => {
                return Err(ParseError::lexing(
                    ParseErrorKind::OutsideStage,
                    Some(instruction.span),
                ));
            }
        }
        Ok(())
    }

    fn lint(&mut self, node: &Node, check: &CheckOptions, lints: Vec<Lint>) {
        self.warnings.extend(
            lints
                .into_iter()
                .filter_map(|lint| Warning::local(lint, node.span, check)),
        );
    }

    fn note_blank_lines(&mut self, lexed: &Lexed) {
        let lines = lexed.empty_continuations.iter();
        self.warnings.extend(
            lines.map(|line| Warning::new(Lint::no_empty_continuation(), Span::line(*line))),
        );
    }

    fn stage(&self, node: &Node, check: CheckOptions) -> Result<Stage, Failure> {
        let name = stage_name(node.words())?;
        let flags = node.checked_flags(FROM_FLAGS)?;
        Ok(Stage {
            index: self.stages.len(),
            base: node.words()[0].clone(),
            platform: flags.non_empty("platform"),
            description: name
                .as_ref()
                .and_then(|name| description(&node.comments, name)),
            name,
            span: node.span,
            keyword: node.keyword.clone(),
            source: node.source.clone(),
            check,
            instructions: Vec::new(),
        })
    }

    /// Gives up at an instruction that cannot be read, and says what was found on the way.
    pub(crate) fn abandon(
        mut self,
        lexed: &Lexed,
        check: &CheckOptions,
        error: ParseError,
    ) -> ParseError {
        self.note_blank_lines(lexed);
        let mut warnings = check.filter(self.warnings);
        warnings.sort_by_key(|warning| warning.span.first_line);
        ParseError {
            warnings: warnings.into(),
            ..error
        }
    }

    /// Completes the file.
    pub(crate) fn finish(
        mut self,
        lexed: Lexed,
        check: CheckOptions,
        syntax: Option<String>,
    ) -> Result<Parsed, ParseError> {
        if self.stages.is_empty() {
            return Err(ParseError::lexing(ParseErrorKind::NoStages, None));
        }
        self.note_blank_lines(&lexed);
        self.warnings.extend(parse_lint::stage_names(&self.stages));
        self.warnings.extend(parse_lint::casing(&self.stages));
        self.warnings.sort_by_key(|warning| warning.span.first_line);
        let Self {
            global_args,
            stages,
            warnings,
        } = self;
        Ok(Parsed {
            dockerfile: Dockerfile {
                escape: lexed.escape,
                syntax,
                check,
                global_args,
                stages,
            },
            warnings,
        })
    }
}

fn stage_name(words: &[String]) -> Result<Option<String>, Failure> {
    match words {
        [_] => Ok(None),
        [_, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
            let lower = name.to_lowercase();
            let invalid = || Failure::at(ParseErrorKind::StageName(name.clone()), name);
            if is_stage_name(&lower) {
                Ok(Some(lower))
            } else {
                Err(invalid())
            }
        }
        _ => Err(ParseErrorKind::FromWords.into()),
    }
}

fn is_stage_name(name: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed)
}

/// Puts an instruction at its place.
pub(crate) fn locate(node: &Node, value: Instruction, check: CheckOptions) -> Located<Instruction> {
    Located {
        value,
        span: node.span,
        keyword: node.keyword.clone(),
        source: node.source.clone(),
        check,
    }
}

/// Puts a failure at its place.
pub(crate) fn located(node: &Node, Failure { kind, word }: Failure) -> ParseError {
    let columns = match (&kind, word) {
        (ParseErrorKind::UnknownInstruction { .. }, _) => node.source.keyword(),
        (_, Some(word)) => node.source.find(&word),
        (_, None) => None,
    };
    ParseError {
        kind,
        span: Some(node.span.narrowed(columns)),
        warnings: Earlier::default(),
        phase: Phase::Instruction,
    }
}
