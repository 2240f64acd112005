//! The four ways an instruction's text falls into words, and its JSON form.

use crate::error::ParseErrorKind;
use crate::text::{is_space, split_first_word, split_separators};

/// A `name=value` or `name value` pair, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPair {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) legacy: bool,
}

/// Splits at blanks; there are no quotes.
pub(crate) fn whitespace(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        Vec::new()
    } else {
        split_separators(rest)
    }
}

/// Splits at unquoted blanks, keeping quotes and escapes.
pub(crate) fn quote_aware(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut quote = None;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && is_space(c) {
            word.finish(&mut words);
            continue;
        }
        match quote {
            None if matches!(c, '\'' | '"') => {
                quote = Some(c);
                word.quoted = true;
            }
            Some(open) if open == c => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // A dangling escape at the end is dropped.
            if let Some(escaped) = chars.next() {
                word.text.extend([c, escaped]);
            }
            continue;
        }
        word.text.push(c);
    }
    word.finish(&mut words);
    words
}

#[derive(Default)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn finish(&mut self, words: &mut Vec<String>) {
        let word = std::mem::take(self);
        if word.quoted || !word.text.is_empty() {
            words.push(word.text);
        }
    }
}

/// Reads the words of ENV or LABEL.
pub(crate) fn pairs(
    rest: &str,
    keyword: &'static str,
    escape: char,
) -> Result<Vec<RawPair>, ParseErrorKind> {
    let words = quote_aware(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let (name, value) = split_first_word(rest);
        let value = value.ok_or(ParseErrorKind::TwoArguments(keyword))?;
        return Ok(vec![RawPair {
            name: name.to_owned(),
            value: value.to_owned(),
            legacy: true,
        }]);
    }
    words.into_iter().map(pair).collect()
}

fn pair(word: String) -> Result<RawPair, ParseErrorKind> {
    match word.split_once('=') {
        Some((name, value)) => Ok(RawPair {
            name: name.to_owned(),
            value: value.to_owned(),
            legacy: false,
        }),
        None => Err(ParseErrorKind::EqualsMissing(word)),
    }
}

/// Reads a JSON array of strings; `None` if the text is no JSON array.
pub(crate) fn json(rest: &str) -> Result<Option<Vec<String>>, ParseErrorKind> {
    let rest = rest.trim_start_matches(is_space);
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(items) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok(None);
    };
    let strings = items.into_iter().map(|item| match item {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(ParseErrorKind::NotStrings),
    });
    strings.collect::<Result<Vec<_>, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together_and_stay() {
        for (text, expected) in [
            ("a b", vec!["a", "b"]),
            ("a='x y' \"c d\"=e", vec!["a='x y'", "\"c d\"=e"]),
            (r"a=x\ y b", vec![r"a=x\ y", "b"]),
            (r#"a="q\" r" b"#, vec![r#"a="q\" r""#, "b"]),
            (r"a='\' b", vec![r"a='\'", "b"]),
            (r"a\", vec!["a"]),
            ("''", vec!["''"]),
            ("  \u{a0} ", vec![]),
            ("a\u{a0}b", vec!["a", "b"]),
            (r"a=\' b", vec![r"a=\'", "b"]),
        ] {
            assert_eq!(quote_aware(text, '\\'), expected, "{text}");
        }
    }

    #[test]
    fn only_arrays_of_strings_are_json() {
        assert_eq!(
            json(" [ \"a\", \"\\u0041\\/\" ] ").unwrap().unwrap(),
            ["a", "A/"]
        );
        assert_eq!(json("['a']").unwrap(), None);
        assert_eq!(json("[\"a\"] x").unwrap(), None);
        assert_eq!(json("[]").unwrap(), Some(vec![]));
        assert_eq!(json("[\"a\", 1]"), Err(ParseErrorKind::NotStrings));
        assert_eq!(json("[null]"), Err(ParseErrorKind::NotStrings));
    }
}
