//! One pattern of an ignore file, in which `**` crosses directories.
//!
//! The reference turns patterns into regular expressions of its language. What those match, accidents
//! included, is what is matched here.

use crate::glob::BadPattern;
use regex::Regex;
use std::iter::Peekable;
use std::str::Chars;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// The path is this.
    Exact(String),
    /// The path starts with this.
    Prefix(String),
    /// The path ends with this; `/x` also stands for `x` alone.
    Suffix(String),
    /// Everything else.
    Regex(Regex),
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Exact,
    Prefix,
    Suffix,
    Regex,
}

impl Matcher {
    /// Compiles a cleaned pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, BadPattern> {
        let (shape, expression) = translate(pattern);
        Ok(match shape {
            Shape::Exact => Self::Exact(pattern.to_owned()),
            Shape::Prefix => Self::Prefix(pattern[..pattern.len() - 2].to_owned()),
            Shape::Suffix => Self::Suffix(pattern[2..].to_owned()),
            Shape::Regex => {
                Self::Regex(Regex::new(&portable(&expression)?).map_err(|_| BadPattern)?)
            }
        })
    }

    /// Says whether the whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path.starts_with(prefix),
            Self::Suffix(suffix) => {
                path.ends_with(suffix) || suffix.strip_prefix('/') == Some(path)
            }
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

fn translate(pattern: &str) -> (Shape, String) {
    let mut shape = Shape::Exact;
    let mut out = String::from("^");
    let mut chars = pattern.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                shape = two_stars(&mut chars, &mut out, shape, first);
            }
            '*' => {
                out.push_str("[^/]*");
                shape = Shape::Regex;
            }
            '?' => {
                out.push_str("[^/]");
                shape = Shape::Regex;
            }
            '.' | '+' | '(' | ')' | '|' | '{' | '}' | '$' => out.extend(['\\', c]),
            '\\' => {
                out.push('\\');
                if let Some(escaped) = chars.next() {
                    out.push(escaped);
                    shape = Shape::Regex;
                }
            }
            '[' | ']' => {
                out.push(c);
                shape = Shape::Regex;
            }
            c => out.push(c),
        }
        first = false;
    }
    out.push('$');
    (shape, out)
}

fn two_stars(
    chars: &mut Peekable<Chars<'_>>,
    out: &mut String,
    shape: Shape,
    first: bool,
) -> Shape {
    chars.next_if_eq(&'/');
    let at_end = chars.peek().is_none();
    out.push_str(if at_end { ".*" } else { "(.*/)?" });
    match (first, at_end && shape == Shape::Exact) {
        (true, _) => Shape::Suffix,
        (false, true) => Shape::Prefix,
        (false, false) => Shape::Regex,
    }
}

/// Rewrites an expression of Go's syntax for this language's: escapes and the inside of classes differ.
fn portable(expression: &str) -> Result<String, BadPattern> {
    let mut out = String::new();
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push_str(&escape(&mut chars)?),
            '[' => class(&mut chars, &mut out)?,
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(chars: &mut Peekable<Chars<'_>>) -> Result<String, BadPattern> {
    let c = chars.next().ok_or(BadPattern)?;
    Ok(match c {
        'd' => "[0-9]".to_owned(),
        'D' => "[^0-9]".to_owned(),
        's' => "[\\t\\n\\f\\r ]".to_owned(),
        'S' => "[^\\t\\n\\f\\r ]".to_owned(),
        'w' => "[0-9A-Za-z_]".to_owned(),
        'W' => "[^0-9A-Za-z_]".to_owned(),
        'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'A' | 'z' | 'b' | 'B' => format!("\\{c}"),
        c if c.is_ascii_alphanumeric() => return Err(BadPattern),
        c => literal(c),
    })
}

fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), BadPattern> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    loop {
        match chars.next().ok_or(BadPattern)? {
            ']' if !first => break,
            '\\' => out.push_str(&escape(chars)?),
            low => {
                out.push_str(&literal(low));
                range_end(chars, out)?;
            }
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

fn range_end(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), BadPattern> {
    let mut ahead = chars.clone();
    if ahead.next() != Some('-') || matches!(ahead.peek(), Some(']') | None) {
        return Ok(());
    }
    *chars = ahead;
    out.push('-');
    match chars.next().ok_or(BadPattern)? {
        '\\' => out.push_str(&escape(chars)?),
        high => out.push_str(&literal(high)),
    }
    Ok(())
}

fn literal(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}
