//! The keyword and the flags an instruction starts with.

use crate::error::ParseErrorKind;
use crate::suggest::nearest;
use crate::text::{is_latin1_space, is_separator, is_space};

/// An instruction's line, cut into keyword, flags and the rest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) keyword: String,
    pub(crate) flags: Vec<String>,
    pub(crate) rest: String,
}

/// Cuts a logical line.
pub(crate) fn split(line: &str, escape: char) -> Split {
    let line = line.trim_matches(is_space);
    let Some(at) = line.find(is_separator) else {
        return Split {
            keyword: line.to_owned(),
            flags: Vec::new(),
            rest: String::new(),
        };
    };
    let (flags, rest) = extract(line[at..].trim_start_matches(is_separator), escape);
    Split {
        keyword: line[..at].to_owned(),
        flags,
        rest: rest.trim_matches(is_space).to_owned(),
    }
}

/// Takes leading `--flag` words off, one byte at a time: what is not ASCII is read as Latin-1, as the
/// reference does.
fn extract(line: &str, escape: char) -> (Vec<String>, &str) {
    let bytes = line.as_bytes();
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|byte| is_latin1_space(*byte)) {
            at += 1;
        }
        if !bytes[at..].starts_with(b"--") {
            return (flags, tail(line, at));
        }
        let (word, end) = flag_word(bytes, at, escape as u8);
        at = end;
        if word == "--" {
            return (flags, tail(line, at));
        }
        flags.push(word);
    }
}

/// The text from a byte on. A Latin-1 blank can be the second half of a character; then that is skipped.
fn tail(line: &str, mut at: usize) -> &str {
    while !line.is_char_boundary(at) {
        at += 1;
    }
    &line[at..]
}

fn flag_word(bytes: &[u8], mut at: usize, escape: u8) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    while let Some(&byte) = bytes.get(at) {
        match quote {
            None if is_latin1_space(byte) => break,
            None if matches!(byte, b'\'' | b'"') => quote = Some(byte),
            Some(open) if open == byte => quote = None,
            _ if byte == escape => {
                at += 1;
                word.extend(bytes.get(at).map(|escaped| char::from(*escaped)));
            }
            _ => word.push(char::from(byte)),
        }
        at += 1;
    }
    (word, at.min(bytes.len()))
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagKind {
    Bool,
    Text,
    List,
}

/// A flag that an instruction knows.
pub(crate) type KnownFlag = (&'static str, FlagKind);

/// The flags of one instruction, checked against those it knows.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Checks flags in the order they are written.
    pub(crate) fn parse(
        written: &[String],
        known: &[KnownFlag],
    ) -> Result<Self, (ParseErrorKind, String)> {
        let mut flags = Self::default();
        for flag in written {
            flags
                .add(flag, known)
                .map_err(|kind| (kind, flag.clone()))?;
        }
        Ok(flags)
    }

    fn add(&mut self, flag: &str, known: &[KnownFlag]) -> Result<(), ParseErrorKind> {
        let text = flag.strip_prefix("--").unwrap_or(flag);
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some((name, kind)) = known.iter().find(|(known, _)| *known == name).copied() else {
            let suggestion = nearest(name, known.iter().map(|(name, _)| *name));
            return Err(ParseErrorKind::UnknownFlag {
                name: name.to_owned(),
                suggestion,
            });
        };
        if kind != FlagKind::List && self.text(name).is_some() {
            return Err(ParseErrorKind::DuplicateFlag(name.to_owned()));
        }
        let value = if kind == FlagKind::Bool {
            bool_value(name, value)?
        } else {
            text_value(name, value)?
        };
        self.0.push((name, value));
        Ok(())
    }

    /// The value of a flag, if it is written.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a bool flag, if it is written.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }

    /// All values of a repeatable flag.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// The value of a flag; absent also when it is empty.
    pub(crate) fn non_empty(&self, name: &str) -> Option<String> {
        self.text(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }
}

fn bool_value(name: &str, value: Option<&str>) -> Result<String, ParseErrorKind> {
    let Some(value) = value else {
        return Ok("true".to_owned());
    };
    match value.to_lowercase().as_str() {
        "" => Err(ParseErrorKind::FlagValueMissing(name.to_owned())),
        lower @ ("true" | "false") => Ok(lower.to_owned()),
        _ => Err(ParseErrorKind::FlagNotBool {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
    }
}

fn text_value(name: &str, value: Option<&str>) -> Result<String, ParseErrorKind> {
    value
        .map(str::to_owned)
        .ok_or_else(|| ParseErrorKind::FlagValueMissing(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_off_the_front() {
        for (line, flags, rest) in [
            ("COPY --from=a b c", vec!["--from=a"], "b c"),
            ("COPY a --chown=1 b", vec![], "a --chown=1 b"),
            ("COPY -- --odd /x", vec![], "--odd /x"),
            ("CMD -- --foo  bar", vec![], "--foo  bar"),
            (
                "X --a=\"5 s\" --b='3s' --c=\\1s y",
                vec!["--a=5 s", "--b=3s", "--c=1s"],
                "y",
            ),
            ("X --from=bé a", vec!["--from=bÃ©"], "a"),
            ("X --a --", vec!["--a"], ""),
            ("X --a=\\", vec!["--a="], ""),
            ("X -a --b", vec![], "-a --b"),
            ("X", vec![], ""),
            ("X --a='open", vec!["--a=open"], ""),
        ] {
            let split = split(line, '\\');
            assert_eq!(
                (split.flags, split.rest.as_str()),
                (flags.into_iter().map(str::to_owned).collect(), rest),
                "{line}"
            );
        }
    }

    #[test]
    fn flags_are_checked() {
        let known = [
            ("link", FlagKind::Bool),
            ("from", FlagKind::Text),
            ("exclude", FlagKind::List),
        ];
        let check = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            Flags::parse(&flags, &known).map_err(|(kind, _)| kind.to_string())
        };
        assert_eq!(
            check(&["--foo"]).unwrap_err(),
            "unknown flag: --foo (did you mean from?)"
        );
        assert_eq!(check(&["--LINK"]).unwrap_err(), "unknown flag: --LINK");
        assert_eq!(
            check(&["--from"]).unwrap_err(),
            "missing a value on flag: --from"
        );
        assert_eq!(
            check(&["--link="]).unwrap_err(),
            "missing a value on flag: --link"
        );
        assert_eq!(
            check(&["--link=maybe"]).unwrap_err(),
            "expecting boolean value for flag --link, not: maybe"
        );
        assert_eq!(
            check(&["--from=a", "--from=b"]).unwrap_err(),
            "duplicate flag specified: --from"
        );
        let flags = check(&["--link=TRUE", "--from=", "--exclude=a", "--exclude=b=c"]).unwrap();
        assert_eq!(
            (
                flags.bool("link"),
                flags.text("from"),
                flags.non_empty("from")
            ),
            (Some(true), Some(""), None)
        );
        assert_eq!(flags.list("exclude"), ["a", "b=c"]);
    }
}
