//! One pass over a word: quotes, escapes, and the words it falls into.

use super::{ExpandErrorKind, Expanded, Lookup};
use crate::text::is_space;

/// How much of a word is kept as written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Modes {
    pub(super) escape: char,
    pub(super) raw_quotes: bool,
    pub(super) raw_escapes: bool,
    pub(super) skip_quotes: bool,
    pub(super) keep_unset: bool,
}

type Step<T> = Result<T, ExpandErrorKind>;

/// Deeper nesting than anybody writes, and little enough for the stack.
const MAX_DEPTH: usize = 200;

/// More than any value a kernel or a registry takes.
const MAX_GROWTH: usize = 16 << 20;

/// The state of one pass.
pub(super) struct Lexer<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    pub(super) modes: Modes,
    lookup: &'a Lookup<'a>,
    depth: usize,
    /// Bytes that variables have brought.
    grown: usize,
    used: Vec<String>,
    undefined: Vec<String>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(word: &'a str, modes: Modes, lookup: &'a Lookup<'a>) -> Self {
        Self {
            chars: word.chars().peekable(),
            modes,
            lookup,
            depth: 0,
            grown: 0,
            used: Vec::new(),
            undefined: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Step<Expanded> {
        let (value, words) = self.until(None, self.modes.raw_escapes)?;
        Ok(Expanded {
            value,
            words,
            used: self.used,
            undefined: self.undefined,
        })
    }

    pub(super) fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        self.chars.next()
    }

    /// Looks a variable up. Each can hold several times the one before it, so growth has a limit.
    pub(super) fn value_of(&mut self, name: &str) -> Step<Option<String>> {
        let value = (self.lookup)(name);
        self.grow(value.as_ref().map_or(0, String::len))?;
        let seen = if value.is_some() {
            &mut self.used
        } else {
            &mut self.undefined
        };
        if !seen.iter().any(|known| known == name) {
            seen.push(name.to_owned());
        }
        Ok(value)
    }

    /// Counts bytes that are not in the word as written.
    pub(super) fn grow(&mut self, bytes: usize) -> Step<()> {
        self.grown = self.grown.saturating_add(bytes);
        if self.grown > MAX_GROWTH {
            return Err(ExpandErrorKind::TooLong);
        }
        Ok(())
    }

    /// Reads up to `stop`, or to the end if there is none.
    pub(super) fn until(
        &mut self,
        stop: Option<(char, &'static str)>,
        raw_escapes: bool,
    ) -> Step<(String, Vec<String>)> {
        if self.depth >= MAX_DEPTH {
            return Err(ExpandErrorKind::TooDeep);
        }
        let outer = std::mem::replace(&mut self.modes.raw_escapes, raw_escapes);
        self.depth += 1;
        let result = self.until_inner(stop);
        self.depth -= 1;
        self.modes.raw_escapes = outer;
        result
    }

    fn until_inner(&mut self, stop: Option<(char, &'static str)>) -> Step<(String, Vec<String>)> {
        let mut value = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop.is_some_and(|(stop, _)| stop == c) {
                self.next();
                return Ok((value, words.finish()));
            }
            if !self.special(c, &mut value, &mut words)? {
                self.plain(&mut value, &mut words);
            }
        }
        match stop {
            Some((_, name)) => Err(ExpandErrorKind::Unclosed(name)),
            None => Ok((value, words.finish())),
        }
    }

    fn special(&mut self, c: char, value: &mut String, words: &mut Words) -> Step<bool> {
        let quotes = !self.modes.skip_quotes;
        let text = match c {
            '$' => {
                let text = self.dollar()?;
                text.chars().for_each(|c| words.add(c));
                value.push_str(&text);
                return Ok(true);
            }
            '\'' if quotes => self.single_quoted()?,
            '"' if quotes => self.double_quoted()?,
            '<' if quotes => self.heredoc_mark(),
            _ => return Ok(false),
        };
        words.add_raw(&text);
        value.push_str(&text);
        Ok(true)
    }

    fn plain(&mut self, value: &mut String, words: &mut Words) {
        let Some(c) = self.next() else { return };
        if c != self.modes.escape {
            words.add(c);
            value.push(c);
            return;
        }
        if self.modes.raw_escapes {
            words.add_raw_char(c);
            value.push(c);
        }
        if let Some(escaped) = self.next() {
            words.add_raw_char(escaped);
            value.push(escaped);
        }
    }

    /// `<<` takes the blanks after it along, so that `<< EOF` is one word.
    fn heredoc_mark(&mut self) -> String {
        self.next();
        let mut text = String::from("<");
        if self.peek() == Some('<') {
            text.push('<');
            self.next();
            while let Some(c) = self.peek().filter(|c| matches!(c, ' ' | '\t')) {
                text.push(c);
                self.next();
            }
        }
        text
    }

    fn single_quoted(&mut self) -> Step<String> {
        let mut text = String::new();
        self.push_quote(&mut text);
        loop {
            match self.peek() {
                None => return Err(ExpandErrorKind::Unclosed("single-quote")),
                Some('\'') => {
                    self.push_quote(&mut text);
                    return Ok(text);
                }
                Some(c) => {
                    self.next();
                    text.push(c);
                }
            }
        }
    }

    fn double_quoted(&mut self) -> Step<String> {
        let mut text = String::new();
        self.push_quote(&mut text);
        loop {
            match self.peek() {
                None => return Err(ExpandErrorKind::Unclosed("double-quote")),
                Some('"') => {
                    self.push_quote(&mut text);
                    return Ok(text);
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) => {
                    self.next();
                    self.push_in_double_quotes(c, &mut text);
                }
            }
        }
    }

    fn push_in_double_quotes(&mut self, c: char, text: &mut String) {
        if c != self.modes.escape {
            text.push(c);
            return;
        }
        if self.modes.raw_escapes {
            text.push(c);
        }
        match self.peek() {
            None => {}
            Some(next) if matches!(next, '"' | '$') || next == self.modes.escape => {
                self.next();
                text.push(next);
            }
            Some(_) => text.push(c),
        }
    }

    fn push_quote(&mut self, text: &mut String) {
        if let Some(quote) = self.next()
            && self.modes.raw_quotes
        {
            text.push(quote);
        }
    }
}

/// Collects the words a text falls into at unquoted blanks.
#[derive(Debug, Default)]
struct Words {
    word: String,
    words: Vec<String>,
    inside: bool,
}

impl Words {
    fn add(&mut self, c: char) {
        if !is_space(c) {
            self.add_raw_char(c);
        } else if self.inside && !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
            self.inside = false;
        }
    }

    fn add_raw_char(&mut self, c: char) {
        self.word.push(c);
        self.inside = true;
    }

    fn add_raw(&mut self, text: &str) {
        self.word.push_str(text);
        self.inside = true;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}
