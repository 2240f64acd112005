//! `$name` and `${name…}`.

use super::ExpandErrorKind;
use super::lexer::Lexer;
use super::pattern;

type Step<T> = Result<T, ExpandErrorKind>;

impl Lexer<'_> {
    /// Reads from a `$` on and gives what stands for it.
    pub(super) fn dollar(&mut self) -> Step<String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            return self.simple(&name, || format!("${name}"));
        }
        self.next();
        match self.peek() {
            None => return Err(ExpandErrorKind::BraceMissing),
            Some('{' | '}' | ':') => return Err(ExpandErrorKind::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        self.braced(&name)
    }

    fn simple(&mut self, name: &str, written: impl Fn() -> String) -> Step<String> {
        if name.is_empty() {
            return Ok(written());
        }
        Ok(match self.value_of(name)? {
            None if self.modes.keep_unset => written(),
            value => value.unwrap_or_default(),
        })
    }

    fn braced(&mut self, name: &str) -> Step<String> {
        match self.next() {
            Some('}') => Ok(match self.value_of(name)? {
                None if self.modes.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => {
                let modifier = self.next();
                self.modified(name, modifier, true)
            }
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => {
                self.modified(name, Some(modifier), false)
            }
            Some('/') => self.replaced(name),
            other => Err(unsupported(other, false)),
        }
    }

    fn modified(
        &mut self,
        name: &str,
        modifier: Option<char>,
        null_is_unset: bool,
    ) -> Step<String> {
        let raw_escapes = matches!(modifier, Some('#' | '%'));
        let word = self.operand('}', "}", ExpandErrorKind::BraceMissing, raw_escapes)?;
        let value = self.value_of(name)?;
        if self.modes.keep_unset && value.is_none() {
            return Ok(format!(
                "${{{name}{}{word}}}",
                written_modifier(modifier, null_is_unset)
            ));
        }
        let usable = value
            .clone()
            .filter(|value| !null_is_unset || !value.is_empty());
        match modifier {
            Some('-') => Ok(usable.unwrap_or(word)),
            Some('+') => Ok(usable.map(|_| word).unwrap_or_default()),
            Some('?') => usable.ok_or_else(|| required(name, word, value.is_some())),
            Some('#') if !null_is_unset => trimmed(&word, &value.unwrap_or_default(), '#'),
            Some('%') if !null_is_unset => trimmed(&word, &value.unwrap_or_default(), '%'),
            other => Err(unsupported(other, null_is_unset)),
        }
    }

    fn replaced(&mut self, name: &str) -> Step<String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.operand('/', "/", ExpandErrorKind::SlashMissing, true)?;
        let replacement = self.operand('}', "}", ExpandErrorKind::BraceMissing, true)?;
        let value = self.value_of(name)?;
        match value {
            None if self.modes.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => {
                let value = value.unwrap_or_default();
                let replaced = pattern::Replacement::new(&value, &pattern, all)?;
                self.grow(replaced.matches().saturating_mul(replacement.len()))?;
                Ok(replaced.with(&replacement))
            }
        }
    }

    /// Reads the text up to `stop`. When the word ended before it, that is the error whatever went wrong.
    fn operand(
        &mut self,
        stop: char,
        name: &'static str,
        missing: ExpandErrorKind,
        raw_escapes: bool,
    ) -> Step<String> {
        match self.until(Some((stop, name)), raw_escapes) {
            Ok((text, _)) => Ok(text),
            Err(_) if self.peek().is_none() => Err(missing),
            Err(error) => Err(error),
        }
    }

    /// Reads a variable's name: one special character, or digits, or letters, digits and `_`.
    fn name(&mut self) -> String {
        let Some(first) = self.peek() else {
            return String::new();
        };
        if is_digit(first) {
            return self.take_while(is_digit);
        }
        if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            self.next();
            return first.to_string();
        }
        self.take_while(is_name)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            self.next();
            text.push(c);
        }
        text
    }
}

fn trimmed(word: &str, value: &str, side: char) -> Step<String> {
    let (pattern, greedy) = match word.strip_prefix(side) {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    if side == '%' {
        pattern::trim_end(value, pattern, greedy)
    } else {
        pattern::trim_start(value, pattern, greedy)
    }
}

fn required(name: &str, word: String, is_set: bool) -> ExpandErrorKind {
    let default = if is_set {
        "is not allowed to be empty"
    } else {
        "is not allowed to be unset"
    };
    let message = if word.is_empty() {
        default.to_owned()
    } else {
        word
    };
    ExpandErrorKind::Required {
        name: name.to_owned(),
        message,
    }
}

fn written_modifier(modifier: Option<char>, colon: bool) -> String {
    let modifier = modifier.unwrap_or(char::REPLACEMENT_CHARACTER);
    if colon {
        format!(":{modifier}")
    } else {
        modifier.to_string()
    }
}

fn unsupported(modifier: Option<char>, colon: bool) -> ExpandErrorKind {
    ExpandErrorKind::UnsupportedModifier(written_modifier(modifier, colon))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_name(c: char) -> bool {
    c.is_alphabetic() || c.is_numeric() || c == '_'
}
