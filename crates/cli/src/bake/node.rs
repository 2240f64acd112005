//! Values of a file that know where they stand, for errors that name a line.

use serde_yaml::{Mapping, Value};
use yadokari_dockerfile::suggest::nearest;

use super::error::{BakeError, Place};
use super::file::File;

/// A value and the keys that lead to it.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) file: &'a File,
    pub(super) path: Vec<String>,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(file: &'a File, value: &'a Value) -> Self {
        Self {
            file,
            path: Vec::new(),
            value,
        }
    }

    /// Where the value stands.
    pub(super) fn place(&self) -> Place {
        self.file.place(&self.path)
    }

    /// The last key.
    pub(super) fn key(&self) -> String {
        self.path.last().cloned().unwrap_or_default()
    }

    /// An error that says what would be right here.
    pub(super) fn expected(&self, expected: &'static str) -> BakeError {
        BakeError::Kind {
            place: self.place(),
            key: self.key(),
            expected,
        }
    }

    /// An error that says that this key has no meaning, and which of those that have one comes near it.
    pub(super) fn unknown(&self, known: &[&'static str]) -> BakeError {
        let key = self.key();
        BakeError::UnknownKey {
            place: self.place(),
            near: nearest(&key, known.iter().copied()),
            key,
        }
    }

    /// An error that says that what this key asks for cannot be done.
    pub(super) fn unavailable(&self, reason: &'static str) -> BakeError {
        BakeError::Unavailable {
            place: self.place(),
            key: self.key(),
            reason,
        }
    }

    /// The value of a key, unless it is missing or null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.child(key, value))
    }

    /// The keys and values of a mapping.
    pub(super) fn entries(&self) -> Result<Vec<(String, Self)>, BakeError> {
        let mapping = self.mapping()?;
        mapping
            .iter()
            .map(|(key, value)| {
                let key = scalar(key).ok_or_else(|| self.expected("keys that are words"))?;
                let child = self.child(&key, value);
                Ok((key, child))
            })
            .collect()
    }

    fn mapping(&self) -> Result<&'a Mapping, BakeError> {
        self.value
            .as_mapping()
            .ok_or_else(|| self.expected("a mapping"))
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        Self {
            file: self.file,
            path,
            value,
        }
    }

    /// A word or number as text.
    pub(super) fn text(&self) -> Result<String, BakeError> {
        scalar(self.value).ok_or_else(|| self.expected("a word"))
    }

    /// `true`, `false`, or one of them as text.
    pub(super) fn boolean(&self) -> Result<bool, BakeError> {
        let text = self.text()?;
        match text.as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A list of words, or a single word.
    pub(super) fn words(&self) -> Result<Vec<String>, BakeError> {
        match self.value {
            Value::Sequence(items) => items
                .iter()
                .map(|item| scalar(item).ok_or_else(|| self.expected("a list of words")))
                .collect(),
            _ => Ok(vec![self.text()?]),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<Vec<Self>, BakeError> {
        let items = self
            .value
            .as_sequence()
            .ok_or_else(|| self.expected("a list"))?;
        Ok(items
            .iter()
            .map(|value| Self {
                file: self.file,
                path: self.path.clone(),
                value,
            })
            .collect())
    }

    /// Names with values: a mapping, or a list of `name=value`. A name alone has no value.
    pub(super) fn pairs(&self) -> Result<Vec<(String, Option<String>)>, BakeError> {
        if self.value.is_mapping() {
            let pair = |(key, node): (String, Self)| {
                let value = (!node.value.is_null()).then(|| node.text()).transpose()?;
                Ok((key, value))
            };
            return self.entries()?.into_iter().map(pair).collect();
        }
        Ok(self.words()?.iter().map(|word| pair(word)).collect())
    }

    /// As [`Self::pairs`], where every name needs a value.
    pub(super) fn full_pairs(&self) -> Result<Vec<(String, String)>, BakeError> {
        let whole = |(key, value): (String, Option<String>)| (key, value.unwrap_or_default());
        Ok(self.pairs()?.into_iter().map(whole).collect())
    }
}

fn pair(word: &str) -> (String, Option<String>) {
    match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    }
}

/// A value that is a single word, number or truth value.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
