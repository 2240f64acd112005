//! Ignore files (`.dockerignore`) and `--exclude` patterns.
//!
//! Patterns are anchored at the root, `**` crosses directories, `!` re-includes, the last match wins, and
//! what matches a directory covers everything below it.

use crate::glob::{self, BadPattern};
use crate::matcher::Matcher;
use crate::text::{decode, is_space};

/// An ordered list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    patterns: Vec<Pattern>,
}

/// One pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The line it stands on, from 1; for patterns that are not from a file, their place in the list.
    pub line: usize,
    /// As written, without blanks around it.
    pub text: String,
    /// Whether it re-includes.
    pub negated: bool,
    /// The path it is about, cleaned.
    cleaned: String,
    matcher: Matcher,
}

/// A list of patterns that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A `!` without pattern.
    #[error("illegal exclusion pattern: \"!\"")]
    LoneNegation {
        /// Its line.
        line: usize,
    },
    /// A pattern that is not well formed.
    #[error("syntax error in pattern")]
    Syntax {
        /// Its line.
        line: usize,
        /// The pattern.
        pattern: String,
    },
}

impl PatternError {
    /// The line of the pattern, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::LoneNegation { line } | Self::Syntax { line, .. } => *line,
        }
    }
}

/// What is known about a directory while walking down from the root. The default is the root's.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    matched: Vec<bool>,
    by: Option<usize>,
}

impl Visit {
    /// Whether the entry is excluded.
    pub fn is_excluded(&self) -> bool {
        self.by.is_some()
    }
}

impl Patterns {
    /// Reads an ignore file.
    ///
    /// # Errors
    ///
    /// At the first pattern that cannot be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, PatternError> {
        let text = decode(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let lines = text
            .split('\n')
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'));
        let words = lines.filter_map(|(index, line)| {
            rooted(line.trim_matches(is_space)).map(|word| (index + 1, line, word))
        });
        words
            .map(|(line, text, word)| Pattern::new(line, text, &word))
            .filter_map(Result::transpose)
            .collect()
    }

    /// Reads patterns that come as words, as `--exclude` does. A leading `/` is not taken off.
    ///
    /// # Errors
    ///
    /// At the first pattern that cannot be used.
    pub fn from_words<S: AsRef<str>>(words: &[S]) -> Result<Self, PatternError> {
        let words = words.iter().enumerate();
        words
            .map(|(index, word)| Pattern::new(index + 1, word.as_ref(), word.as_ref()))
            .filter_map(Result::transpose)
            .collect()
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The patterns in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }

    /// Whether a pattern re-includes.
    pub fn has_negations(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.negated)
    }

    /// Finds the pattern that hides a path (relative, without leading slash), looking at its parents as a walk
    /// from the root does.
    ///
    /// ```
    /// # use yadokari_dockerfile::ignore::Patterns;
    /// let patterns = Patterns::parse(b"dist\n!dist/keep\n")?;
    /// assert_eq!(patterns.excludes(b"dist/app").map(|pattern| pattern.line), Some(1));
    /// assert!(patterns.excludes(b"dist/keep").is_none());
    /// # Ok::<(), yadokari_dockerfile::ignore::PatternError>(())
    /// ```
    pub fn excludes(&self, path: &[u8]) -> Option<&Pattern> {
        let mut visit = Visit::default();
        let slashes = path
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .map(|(at, _)| at);
        for end in slashes.chain([path.len()]) {
            visit = self.visit(&visit, &path[..end]);
        }
        visit.by.map(|index| &self.patterns[index])
    }

    /// Looks at an entry during a walk, knowing what was found about its directory.
    pub fn visit(&self, parent: &Visit, path: &[u8]) -> Visit {
        let path = decode(path);
        let mut visit = Visit {
            matched: vec![false; self.patterns.len()],
            by: None,
        };
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.matched.get(index).copied().unwrap_or(false);
            // A pattern that could not change the outcome is not looked at, and so not inherited.
            if !inherited
                && (pattern.negated != visit.is_excluded() || !pattern.matcher.matches(&path))
            {
                continue;
            }
            visit.matched[index] = true;
            visit.by = if pattern.negated {
                None
            } else {
                visit.by.or(Some(index))
            };
        }
        visit
    }

    /// The pattern that hid a visited entry.
    pub fn reason(&self, visit: &Visit) -> Option<&Pattern> {
        visit.by.and_then(|index| self.patterns.get(index))
    }

    /// Says whether a path or one of its parents is matched, judged without a walk. The check about copied
    /// files that are ignored works like this.
    pub fn matches_or_parent(&self, path: &[u8]) -> bool {
        let path = decode(path);
        let mut matched = false;
        for pattern in &self.patterns {
            let prefixes = || {
                path.match_indices('/')
                    .map(|(at, _)| &path[..at])
                    .chain([&*path])
            };
            if pattern.negated == matched
                && prefixes().any(|prefix| pattern.matcher.matches(prefix))
            {
                matched = !pattern.negated;
            }
        }
        matched
    }

    /// Says whether something below an excluded directory may be included after all, so that it has to be
    /// walked.
    pub fn may_reinclude_below(&self, directory: &[u8]) -> bool {
        let directory = format!("{}/", decode(directory));
        let mut negated = self.patterns.iter().filter(|pattern| pattern.negated);
        negated.any(|pattern| match pattern.fixed_prefix() {
            Some(prefix) => {
                format!("{prefix}/").starts_with(&directory)
                    || directory.starts_with(&format!("{prefix}/"))
            }
            None => true,
        })
    }
}

impl FromIterator<Pattern> for Patterns {
    fn from_iter<I: IntoIterator<Item = Pattern>>(patterns: I) -> Self {
        Self {
            patterns: patterns.into_iter().collect(),
        }
    }
}

impl Pattern {
    /// Reads a pattern; blank ones are none.
    fn new(line: usize, text: &str, word: &str) -> Result<Option<Self>, PatternError> {
        let word = word.trim_matches(is_space);
        if word.is_empty() {
            return Ok(None);
        }
        let word = clean(word);
        let (negated, cleaned) = match word.strip_prefix('!') {
            Some("") => return Err(PatternError::LoneNegation { line }),
            Some(rest) => (true, rest),
            None => (false, word.as_str()),
        };
        let syntax = |BadPattern| PatternError::Syntax {
            line,
            pattern: cleaned.to_owned(),
        };
        glob::check(cleaned).map_err(syntax)?;
        let matcher = Matcher::new(cleaned).map_err(syntax)?;
        Ok(Some(Self {
            line,
            text: text.trim_matches(is_space).to_owned(),
            negated,
            cleaned: cleaned.to_owned(),
            matcher,
        }))
    }

    /// The directory or file the pattern is about, if that is all it says apart from a trailing `**` or `*`.
    fn fixed_prefix(&self) -> Option<&str> {
        let prefix = self
            .cleaned
            .strip_suffix("/**")
            .or_else(|| self.cleaned.strip_suffix("/*"))
            .unwrap_or(&self.cleaned);
        (!prefix.contains(['*', '?', '[', '\\', '^'])).then_some(prefix)
    }
}

/// Makes a line of a file relative to the root: it is cleaned and loses a leading slash, behind the `!` if
/// there is one.
fn rooted(line: &str) -> Option<String> {
    let (mark, path) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim_matches(is_space)),
        None if line.is_empty() => return None,
        None => ("", line),
    };
    if path.is_empty() {
        return Some(mark.to_owned());
    }
    let path = clean(path);
    let relative = path
        .strip_prefix('/')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(&path);
    Some(format!("{mark}{relative}"))
}

/// Cleans a path lexically, as Go's `filepath.Clean` does.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests;
