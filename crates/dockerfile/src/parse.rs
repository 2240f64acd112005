//! Bytes to a Dockerfile.

use crate::assemble::{Assembly, locate, located};
use crate::directive;
use crate::error::{ParseError, ParseErrorKind, Phase};
use crate::instruction::{Instruction, Located};
use crate::lexer::lex;
use crate::lint::CheckOptions;
use crate::span::Span;
use crate::stage::Parsed;

/// Parses a Dockerfile.
///
/// # Errors
///
/// At the first problem, with the warnings of what stands before it. All problems of lines and words come before those of instructions, whatever their
/// order in the file.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ParseError> {
    parse_with_check(bytes, None)
}

/// Parses a Dockerfile whose check directive may be replaced (build argument `BUILDKIT_DOCKERFILE_CHECK`).
///
/// # Errors
///
/// As [`parse`]. A replaced directive is not read, so it cannot be wrong.
pub fn parse_with_check(bytes: &[u8], check: Option<CheckOptions>) -> Result<Parsed, ParseError> {
    if bytes.is_empty() {
        return Err(ParseError::lexing(ParseErrorKind::Empty, None));
    }
    let check = check.map_or_else(|| check_directive(bytes), Ok)?;
    let lexed = lex(bytes)?;
    let mut file = Assembly::default();
    for node in &lexed.nodes {
        if let Err(error) = file.add(node) {
            return Err(file.abandon(&lexed, &check, error));
        }
    }
    file.finish(lexed, check, directive::find_syntax(bytes))
}

fn check_directive(bytes: &[u8]) -> Result<CheckOptions, ParseError> {
    let Some(directive) = directive::find_check(bytes) else {
        return Ok(CheckOptions::default());
    };
    // Only the text up to the first blank counts.
    let value = directive.value.split(' ').next().unwrap_or_default();
    let span = Span::line(directive.line);
    CheckOptions::parse(value).map_err(|error| ParseError::lexing(error.into(), Some(span)))
}

/// Parses the instruction of an ONBUILD trigger, as it stands in an image's configuration.
///
/// The escape character is the default one, since the trigger does not know of the file it came from. Spans
/// count the lines of the trigger.
///
/// # Errors
///
/// If it is not one instruction, or that is wrong. Errors have no line prefix.
pub fn parse_trigger(trigger: &str) -> Result<Located<Instruction>, ParseError> {
    let lexed = lex(trigger.as_bytes())?;
    let [node] = lexed.nodes.as_slice() else {
        return Err(ParseError::lexing(ParseErrorKind::TriggerNotSingle, None));
    };
    if node.name() == "FROM" {
        return Err(ParseError::lexing(
            ParseErrorKind::TriggerNotAllowed(node.name()),
            Some(node.span),
        ));
    }
    let check = CheckOptions::from_comments(&node.comments);
    let value = Instruction::parse(node).map_err(|failure| ParseError {
        phase: Phase::Lexing,
        ..located(node, failure)
    })?;
    Ok(locate(node, value, check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_warnings_of_what_stands_before_it() {
        let warnings = |text: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            let lines = error.warnings.iter().map(ToString::to_string);
            lines.collect::<Vec<_>>()
        };
        let file = "FROM scratch AS Bad\nMAINTAINER me\nBADCMD\nMAINTAINER you";
        assert_eq!(
            warnings(file),
            [
                "StageNameCasing: Stage name 'Bad' should be lowercase (line 1)",
                "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)",
            ]
        );
        let skipped = format!("# check=skip=StageNameCasing,MaintainerDeprecated\n{file}");
        assert_eq!(warnings(&skipped), [""; 0]);
        assert_eq!(
            warnings("FROM scratch\nRUN a \\\n\n b\nBADCMD"),
            ["NoEmptyContinuation: Empty continuation line (line 4)"]
        );
    }
}
