//! The patterns of `${x#…}`, `${x%…}` and `${x/…/…}`: `*` and `?`, without brackets.

use super::ExpandErrorKind;
use regex::Regex;

type Step<T> = Result<T, ExpandErrorKind>;

/// Removes the shortest (or longest) match at the start.
pub(super) fn trim_start(value: &str, pattern: &str, greedy: bool) -> Step<String> {
    let regex = compile(pattern, greedy, true)?;
    Ok(regex
        .find(value)
        .map_or(value, |found| &value[found.end()..])
        .to_owned())
}

/// Removes the shortest (or longest) match at the end, by working on everything in reverse.
pub(super) fn trim_end(value: &str, pattern: &str, greedy: bool) -> Step<String> {
    let reversed: String = value.chars().rev().collect();
    let rest = trim_start(&reversed, &reverse_pattern(pattern), greedy)?;
    Ok(rest.chars().rev().collect())
}

/// Matches that are to be replaced: the first one, or all of them.
pub(super) struct Replacement<'a> {
    value: &'a str,
    regex: Regex,
    all: bool,
}

impl<'a> Replacement<'a> {
    pub(super) fn new(value: &'a str, pattern: &str, all: bool) -> Step<Self> {
        let regex = compile(pattern, true, false)?;
        Ok(Self { value, regex, all })
    }

    /// How often the replacement will be in the result, at most.
    pub(super) fn matches(&self) -> usize {
        if self.all {
            self.regex.find_iter(self.value).count()
        } else {
            1
        }
    }

    /// Puts the replacement in their place.
    ///
    /// The first is replaced by the text as it is; all are replaced by a template in which `$0`, `${0}` are the
    /// match and other references are empty.
    pub(super) fn with(&self, replacement: &str) -> String {
        if self.all {
            let fill = |captures: &regex::Captures<'_>| fill_template(replacement, &captures[0]);
            return self.regex.replace_all(self.value, fill).into_owned();
        }
        match self.regex.find(self.value) {
            Some(found) => format!(
                "{}{replacement}{}",
                &self.value[..found.start()],
                &self.value[found.end()..]
            ),
            None => self.value.to_owned(),
        }
    }
}

fn compile(pattern: &str, greedy: bool, anchored: bool) -> Step<Regex> {
    let invalid = |reason: String| ExpandErrorKind::InvalidPattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let mut source = String::from(if anchored { "^" } else { "" });
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => source.push_str(if greedy { ".*" } else { ".*?" }),
            '?' => source.push('.'),
            '\\' if matches!(chars.peek(), Some('}' | '/')) => {}
            '\\' => match chars.next() {
                Some(escaped @ ('*' | '?' | '\\')) => {
                    source.push_str(&regex::escape(&escaped.to_string()));
                }
                other => {
                    let escaped = other.unwrap_or(char::REPLACEMENT_CHARACTER);
                    return Err(invalid(format!("invalid escape '\\{escaped}'")));
                }
            },
            c => source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&source).map_err(|error| invalid(error.to_string()))
}

/// Reverses a pattern, keeping every escape before the character it escapes.
fn reverse_pattern(pattern: &str) -> String {
    let mut pieces = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(escaped)) => {
                chars.next();
                pieces.push(format!("\\{escaped}"));
            }
            _ => pieces.push(c.to_string()),
        }
    }
    pieces.into_iter().rev().collect()
}

fn fill_template(template: &str, matched: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        match reference(rest) {
            Some((name, tail)) => {
                if is_zero(name) {
                    out.push_str(matched);
                }
                rest = tail;
            }
            None => out.push('$'),
        }
    }
    out + rest
}

fn is_zero(name: &str) -> bool {
    name.bytes().all(|b| b == b'0')
}

fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, inner) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let end = inner
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    let (name, tail) = inner.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced {
        tail.strip_prefix('}').map(|tail| (name, tail))
    } else {
        Some((name, tail))
    }
}
