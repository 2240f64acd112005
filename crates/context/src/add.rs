//! Where a source of ADD comes from.

use crate::git::{GitReference, GitReferenceError};

/// The kind of an ADD source, told by its text alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddSource {
    /// A git repository.
    Git(Box<GitReference>),
    /// A file to download.
    Http(String),
    /// A path below the context.
    Local(String),
}

impl AddSource {
    /// Tells what a source is: a git address, else an `http(s)` URL, else a path.
    ///
    /// ```
    /// use yadokari_context::AddSource;
    ///
    /// let local = |text: &str| matches!(AddSource::classify(text), Ok(AddSource::Local(_)));
    /// assert!(local("github.com/x/y") && local("ftp://example.com/x"));
    /// assert!(!local("git@example.com:x/y"));
    /// ```
    ///
    /// # Errors
    ///
    /// If it is a git address with wrong options.
    pub fn classify(text: &str) -> Result<Self, GitReferenceError> {
        if let Some(reference) = GitReference::parse(text)? {
            return Ok(Self::Git(Box::new(reference)));
        }
        let text = text.to_owned();
        Ok(match is_http(&text) {
            true => Self::Http(text),
            false => Self::Local(text),
        })
    }
}

/// Tells whether a text is an `http` or `https` URL.
pub(crate) fn is_http(text: &str) -> bool {
    let starts = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    starts("http://") || starts("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_by_their_text() {
        let table = [
            ("https://example.com/x.git#v1", "git"),
            ("git://example.com/x", "git"),
            ("ssh://git@example.com/x", "git"),
            ("git@example.com:x/y.git", "git"),
            ("https://example.com/x", "http"),
            ("HTTP://example.com/x.git/y", "http"),
            ("github.com/x/y", "local"),
            ("github.com/x/y.git", "local"),
            ("ftp://example.com/x", "local"),
            ("http:/example.com", "local"),
            ("a/b c.txt", "local"),
            ("é", "local"),
        ];
        for (text, expected) in table {
            let found = match AddSource::classify(text).unwrap() {
                AddSource::Git(_) => "git",
                AddSource::Http(_) => "http",
                AddSource::Local(_) => "local",
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}
