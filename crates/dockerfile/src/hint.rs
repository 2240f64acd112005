//! What to do about a Dockerfile that cannot be parsed.

use crate::error::ParseErrorKind;
use crate::value::duration::DurationError;

impl ParseErrorKind {
    /// What to do about it, where something can be said that the message does not say.
    pub(crate) fn hint(&self) -> Option<String> {
        self.hint_on_files()
            .map(str::to_owned)
            .or_else(|| self.hint_on_words())
            .or_else(|| self.hint_on_values().map(str::to_owned))
    }

    fn hint_on_files(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty | Self::NoInstructions | Self::NoStages | Self::OutsideStage => {
                "start with a FROM line; only ARG may stand before it"
            }
            Self::LineTooLong => "break the line with a continuation character",
            Self::DirectiveRepeated(_) => "remove one of them",
            Self::InvalidEscape(_) => "the escape directive takes ` or \\",
            Self::CheckOptions(_) => "write it as skip=RULE,RULE;error=true",
            Self::UnknownInstruction {
                suggestion: None, ..
            } => "a line that goes on in the next one ends with the escape character",
            Self::FromWords => "write FROM image, or FROM image AS name",
            Self::StageName(_) => "use a lowercase letter, then letters, digits, `-`, `_` or `.`",
            Self::ChainedOnbuild | Self::TriggerNotAllowed(_) | Self::TriggerNotSingle => {
                "a trigger is one instruction, and neither FROM nor MAINTAINER nor ONBUILD"
            }
            _ => return None,
        })
    }

    fn hint_on_words(&self) -> Option<String> {
        Some(match self {
            Self::UnterminatedHeredoc { name } => {
                format!("end the heredoc with a line that holds `{name}` and nothing else")
            }
            Self::NotJson(name) => {
                format!("write it as an array: {name} [\"executable\", \"argument\"]")
            }
            Self::EqualsMissing(word) => format!("quote the value if `{word}` belongs to it"),
            Self::TwoArguments(keyword) => format!("write {keyword} name=value"),
            Self::FlagNotBool { name, .. } => format!("use --{name}=true or --{name}=false"),
            Self::FlagValueMissing(name) => format!("write --{name}=VALUE"),
            Self::DuplicateFlag(name) => format!("keep one --{name}"),
            Self::NoDestination(keyword) => {
                format!("name the sources, then the destination, as in {keyword} . /app/")
            }
            Self::HeredocDestination(keyword) => {
                format!("the last word is the destination, as in {keyword} <<EOF /file")
            }
            _ => return None,
        })
    }

    fn hint_on_values(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotStrings => "quote every element of the array",
            Self::UnknownFlag { .. } => "to pass a word that starts with `--`, put `--` before it",
            Self::HealthcheckType(_) | Self::HealthcheckCommand | Self::HealthcheckNone => {
                "write HEALTHCHECK CMD command, or HEALTHCHECK NONE"
            }
            Self::Duration(DurationError::UnitMissing(_)) => "give a unit, as in 30s",
            Self::IntervalTooShort(_) => "give a positive time, as in 30s",
            Self::NetworkMode(_) => "use default, none or host",
            Self::SecurityMode(_) => "use sandbox or insecure",
            _ => return None,
        })
    }
}
