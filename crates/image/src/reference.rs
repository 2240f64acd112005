//! [`Reference`]: the name of an image, as people write it.

use std::fmt;
use std::str::FromStr;

use crate::repository::DEFAULT_REGISTRY;
use crate::{Digest, DigestError, Repository};

/// The name of an image: registry, repository, and a tag or digest or both.
///
/// Short names are completed as Docker does: `busybox` is
/// `docker.io/library/busybox`. The first component is a host if it has a dot, a
/// colon or an upper-case letter, or is `localhost`.
///
/// ```
/// use yadokari_image::Reference;
///
/// let reference = Reference::parse("busybox:1.36")?;
/// assert_eq!(reference.to_string(), "docker.io/library/busybox:1.36");
/// assert_eq!(reference.familiar(), "busybox:1.36");
/// # Ok::<(), yadokari_image::ReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    name: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that does not name an image. Messages are those of the distribution project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// The text does not follow the grammar.
    #[error("invalid reference format")]
    Format {
        /// The text as given.
        text: String,
    },
    /// The repository has upper-case letters.
    #[error("invalid reference format: repository name ({repository}) must be lowercase")]
    Uppercase {
        /// The repository as completed, such as `library/UPPER`.
        repository: String,
    },
    /// The repository path is longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    NameTooLong,
    /// The name is 64 hexadecimal digits, which is how image ids look.
    #[error("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")]
    Identifier {
        /// The text as given.
        text: String,
    },
    /// What follows `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Reads an image name and completes it; a missing tag stays missing.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(ReferenceError::Identifier {
                text: text.to_owned(),
            });
        }
        let (registry, remainder) = split_registry(text);
        check_lowercase(&remainder)?;
        let format = || ReferenceError::Format {
            text: text.to_owned(),
        };
        let (name, digest) = split_suffix(&remainder, '@');
        let (path, tag) = split_suffix(name, ':');
        if !is_host(&registry) || !is_path(path) || !tag.is_none_or(is_tag) {
            return Err(format());
        }
        if path.len() > 255 {
            return Err(ReferenceError::NameTooLong);
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(format());
        }
        Ok(Self {
            name: Repository {
                registry,
                path: path.to_owned(),
            },
            tag: tag.map(str::to_owned),
            digest: digest.map(str::parse).transpose()?,
        })
    }

    pub(crate) fn bare(name: Repository) -> Self {
        Self {
            name,
            tag: None,
            digest: None,
        }
    }

    /// The registry host with its port, `docker.io` for Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.name.registry()
    }

    /// The path on the registry, such as `library/busybox`.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.name.path()
    }

    /// Registry and path together.
    #[must_use]
    pub fn name(&self) -> &Repository {
        &self.name
    }

    /// The tag, if one is given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given. It wins over a tag beside it.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for: the digest if there is one, else the tag, else `latest`.
    #[must_use]
    pub fn identifier(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same name with another tag.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Format`] if `tag` is no valid tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format {
                text: format!("{}:{tag}", self.name),
            });
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            ..self.clone()
        })
    }

    /// The same name with another digest; a tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same name with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The shortest form that means the same: `busybox:1` for `docker.io/library/busybox:1`.
    #[must_use]
    pub fn familiar(&self) -> String {
        if self.registry() != DEFAULT_REGISTRY {
            return self.to_string();
        }
        let path = match self.repository().strip_prefix("library/") {
            Some(official) if !official.contains('/') => official,
            _ => self.repository(),
        };
        format!("{path}{}", Suffix(self))
    }
}

/// The part after the repository: `:tag@digest`.
struct Suffix<'a>(&'a Reference);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tag) = &self.0.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.0.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, Suffix(self))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// Splits off the host, or completes a short name with Docker Hub's.
fn split_registry(text: &str) -> (String, String) {
    let (registry, path) = match text.split_once('/') {
        Some(("index.docker.io", rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest)) if looks_like_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, text),
    };
    let official = registry == DEFAULT_REGISTRY && !path.contains('/');
    let prefix = if official { "library/" } else { "" };
    (registry.to_owned(), format!("{prefix}{path}"))
}

fn looks_like_host(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':'])
        || component.contains(char::is_uppercase)
}

fn check_lowercase(remainder: &str) -> Result<(), ReferenceError> {
    let repository = remainder.split(':').next().unwrap_or_default();
    if repository.contains(char::is_uppercase) {
        return Err(ReferenceError::Uppercase {
            repository: repository.to_owned(),
        });
    }
    Ok(())
}

fn split_suffix(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((name, suffix)) => (name, Some(suffix)),
        None => (text, None),
    }
}

pub(crate) fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((address, rest)) => match rest.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if rest.is_empty() => (address, None),
                None => return false,
            },
            None => return false,
        },
        None => split_suffix(host, ':'),
    };
    let named = if host.starts_with('[') {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    } else {
        name.split('.').all(is_host_label)
    };
    named && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(crate) fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

/// Runs of `[a-z0-9]` joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|&byte| alphanumeric(byte));
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && component
            .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag
            .bytes()
            .all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

/// The loose form of the grammar; which algorithms exist is decided by [`Digest`].
fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['-', '_', '+', '.']).all(|part| {
            part.starts_with(|first: char| first.is_ascii_alphabetic())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }) && hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_as_docker_does() {
        let with_digest = format!("docker.io/library/a:1@{DIGEST}");
        let short_with_digest = format!("a:1@{DIGEST}");
        let cases = [
            ("busybox", "docker.io/library/busybox", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            ("foo/bar", "docker.io/foo/bar", "foo/bar"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "index.docker.io/library/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            ("localhost/foo", "localhost/foo", "localhost/foo"),
            (
                "localhost:5000/foo:x",
                "localhost:5000/foo:x",
                "localhost:5000/foo:x",
            ),
            ("FOO/bar", "FOO/bar", "FOO/bar"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
            (
                "[2001:db8::1]/x/y:z",
                "[2001:db8::1]/x/y:z",
                "[2001:db8::1]/x/y:z",
            ),
            ("a__b/c--d.e", "docker.io/a__b/c--d.e", "a__b/c--d.e"),
            ("xn--n3h.com/a", "xn--n3h.com/a", "xn--n3h.com/a"),
            (&short_with_digest, &with_digest, &short_with_digest),
        ];
        for (text, full, familiar) in cases {
            let reference =
                Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(Reference::parse(full), Ok(reference.clone()));
            assert_eq!(Reference::parse(familiar), Ok(reference));
        }
    }

    #[test]
    fn errors_have_the_words_of_the_distribution_project() {
        let long = format!("example.com/{}", "a".repeat(256));
        let short_digest = format!("a@{}", &DIGEST[..60]);
        let id = "a".repeat(64);
        let id_error =
            format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings");
        let format = "invalid reference format";
        let cases = [
            (
                "UPPER",
                "invalid reference format: repository name (library/UPPER) must be lowercase",
            ),
            (
                "foo/Bar:1",
                "invalid reference format: repository name (foo/Bar) must be lowercase",
            ),
            ("", format),
            (":tag", format),
            ("a:", format),
            ("a:-x", format),
            ("a@", format),
            ("a@sha256:00", format),
            ("a b", format),
            ("a//b", format),
            ("a/", format),
            ("/a", format),
            ("a___b", format),
            ("-a", format),
            ("a_-b", format),
            ("http://example.com/a", format),
            ("[::1:5000/x", format),
            ("[::1]x/x", format),
            ("[]:1/x", format),
            ("a..b/c", format),
            ("exa_mple.com/a", format),
            ("a:b:c", format),
            ("a\n", format),
            ("é/a", format),
            (
                &long,
                "repository name must not be more than 255 characters",
            ),
            (&id, &id_error),
        ];
        for (text, message) in cases {
            let error = Reference::parse(text).expect_err(text);
            assert_eq!(error.to_string(), message, "{text}");
        }
        assert!(Reference::parse(&short_digest).is_err());
        assert!(matches!(
            Reference::parse(&format!("a@sha512:{}", "0".repeat(128))),
            Err(ReferenceError::Digest(DigestError::Algorithm { .. }))
        ));
    }

    #[test]
    fn a_tag_is_added_only_where_nothing_says_which_image() {
        let parse = |text: &str| {
            Reference::parse(text)
                .unwrap()
                .with_default_tag()
                .familiar()
        };
        assert_eq!(parse("a"), "a:latest");
        assert_eq!(parse("a:1"), "a:1");
        assert_eq!(parse(&format!("a@{DIGEST}")), format!("a@{DIGEST}"));
    }

    #[test]
    fn the_digest_is_what_a_registry_is_asked_for() {
        let identifier = |text: &str| Reference::parse(text).unwrap().identifier();
        assert_eq!(identifier("a"), "latest");
        assert_eq!(identifier("a:1"), "1");
        assert_eq!(identifier(&format!("a:1@{DIGEST}")), DIGEST);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_parses_back(text in "[a-zA-Z0-9:/@._\\[\\]-]{0,40}|\\PC{0,20}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference.clone()));
                prop_assert_eq!(Reference::parse(&reference.familiar()), Ok(reference));
            }
        }
    }
}
