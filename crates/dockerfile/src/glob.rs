//! File name patterns as Go's `filepath.Match` reads them, for the sources of COPY and ADD.
//!
//! `*` and `?` do not cross `/`, `[a-z]` and `[^a-z]` are classes, `\` escapes. A leading dot is not special.

use crate::matcher::Matcher;
use crate::text::decode;

/// A pattern that is not well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// Says whether a pattern matches the whole of a name.
///
/// ```
/// # use yadokari_dockerfile::glob::matches;
/// assert_eq!(matches("*.tx[s-u]", b"a.txt"), Ok(true));
/// assert_eq!(matches("*", b"a/b"), Ok(false));
/// assert!(matches("[", b"a").is_err());
/// ```
///
/// # Errors
///
/// If the pattern is not well formed, even if the name does not match for another reason.
pub fn matches(pattern: &str, name: &[u8]) -> Result<bool, BadPattern> {
    let tokens = tokens(pattern)?;
    let name: Vec<char> = decode(name).chars().collect();
    Ok(match_tokens(&tokens, &name))
}

/// Checks that a pattern is well formed.
///
/// # Errors
///
/// If it is not.
pub fn check(pattern: &str) -> Result<(), BadPattern> {
    tokens(pattern).map(|_| ())
}

/// Says whether a path holds a wildcard that is not escaped.
pub fn has_wildcard(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    false
}

/// Splits a path before its first component with a wildcard: the directory to walk, and the pattern below
/// it, if there is one.
///
/// ```
/// # use yadokari_dockerfile::glob::split_wildcard;
/// assert_eq!(split_wildcard("/a/b*/c"), ("/a", Some("b*/c")));
/// assert_eq!(split_wildcard("/a/b"), ("/a/b", None));
/// assert_eq!(split_wildcard("*"), ("", Some("*")));
/// ```
pub fn split_wildcard(path: &str) -> (&str, Option<&str>) {
    let mut start = 0;
    for component in path.split('/') {
        if has_wildcard(component) {
            return (path[..start].trim_end_matches('/'), Some(&path[start..]));
        }
        start += component.len() + 1;
    }
    (path, None)
}

/// A pattern in which `**` crosses directories, as sources of `COPY --parents` are.
#[derive(Debug, Clone)]
pub struct Deep(Matcher);

impl Deep {
    /// Reads a pattern, relative to the root of the source.
    ///
    /// # Errors
    ///
    /// If it is not well formed.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        check(pattern)?;
        Matcher::new(pattern).map(Self)
    }

    /// Says whether the pattern matches the whole of a relative path.
    pub fn matches(&self, path: &[u8]) -> bool {
        self.0.matches(&decode(path))
    }
}

#[derive(Debug)]
enum Token {
    Char(char),
    AnyChar,
    AnyText,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

fn tokens(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::AnyText,
            '?' => Token::AnyChar,
            '\\' => Token::Char(chars.next().ok_or(BadPattern)?),
            '[' => class(&mut chars)?,
            c => Token::Char(c),
        });
    }
    Ok(tokens)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(chars: &mut Chars<'_>) -> Result<Token, BadPattern> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = class_char(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() {
            class_char(chars)?
        } else {
            low
        };
        ranges.push((low, high));
        chars.peek().ok_or(BadPattern)?;
    }
    Ok(Token::Class { negated, ranges })
}

fn class_char(chars: &mut Chars<'_>) -> Result<char, BadPattern> {
    match chars.next() {
        None | Some('-' | ']') => Err(BadPattern),
        Some('\\') => chars.next().ok_or(BadPattern),
        Some(c) => Ok(c),
    }
}

fn match_tokens(tokens: &[Token], name: &[char]) -> bool {
    // Only the last `*` ever needs to take more, since it can stand for whatever an earlier one could.
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::AnyText) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            Some(single) if name.get(at).is_some_and(|c| single.accepts(*c)) => {
                token += 1;
                at += 1;
                continue;
            }
            None if at == name.len() => return true,
            _ => {}
        }
        // The star takes one more character, if that is no slash.
        let Some((star, taken)) = retry else {
            return false;
        };
        if name.get(taken).is_none_or(|c| *c == '/') {
            return false;
        }
        retry = Some((star, taken + 1));
        token = star + 1;
        at = taken + 1;
    }
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::AnyChar => c != '/',
            Self::AnyText => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| *low <= c && c <= *high) != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_like_gos() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("[^a]", "/", true),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            (".*", ".a", true),
            ("[[]x", "[x", true),
            ("", "", true),
            ("a/**/b", "a/x/b", true),
            ("a/**/b", "a/x/y/b", false),
        ] {
            assert_eq!(
                matches(pattern, name.as_bytes()),
                Ok(expected),
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn malformed_patterns_are_errors() {
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "[", "[^", "[^bc", "a[", "\\", "a\\", "[a-b-c]", "[]",
        ] {
            assert_eq!(matches(pattern, b"zzz"), Err(BadPattern), "{pattern}");
        }
    }

    #[test]
    fn two_stars_cross_directories_in_deep_patterns() {
        for (pattern, path, expected) in [
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("**/*.go", "x/y.go", true),
            ("a/*", "a/b/c", false),
        ] {
            assert_eq!(
                Deep::new(pattern).unwrap().matches(path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }

    proptest! {
        #[test]
        fn matching_never_panics(pattern in r"[a-c*?\[\]^\\/-]{0,12}", name in "[a-c/]{0,12}") {
            let _ = matches(&pattern, name.as_bytes());
            let _ = Deep::new(&pattern).map(|deep| deep.matches(name.as_bytes()));
        }

        #[test]
        fn names_without_special_characters_match_themselves(name in "[a-z/.]{0,12}") {
            prop_assert_eq!(matches(&name, name.as_bytes()), Ok(true));
        }
    }
}
