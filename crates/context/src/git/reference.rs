//! Git addresses, with the ref and the options people write behind them.

use url::Url;

use crate::git::GitCredentials;
use crate::text::percent_decode;

/// A repository, and what of it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitReference {
    /// The address without credentials, ref and options, as git takes it.
    pub remote: String,
    /// Credentials that stood in the address.
    pub credentials: Option<GitCredentials>,
    /// A branch, tag, full ref or commit; none is the default branch.
    pub reference: Option<String>,
    /// A commit to check out after `reference` was found, as `#ref#commit` has it.
    pub commit: Option<String>,
    /// The directory of the repository that is wanted.
    pub subdirectory: Option<String>,
    /// A commit, or its beginning, that the ref must be.
    pub checksum: Option<String>,
    /// Whether `.git` stays, if the address says so.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched, if the address says so.
    pub submodules: Option<bool>,
    /// Files get the time of the commit instead of that of the checkout.
    pub commit_time: bool,
    /// Whether the commit is asked for instead of the ref, if the address says so.
    pub fetch_by_commit: Option<bool>,
}

/// Why an address that is meant for git is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GitReferenceError {
    /// The address is not a URL.
    #[error("invalid git address: {0}")]
    Url(url::ParseError),
    /// An option that does not exist.
    #[error("unexpected query {key:?}")]
    UnknownKey {
        /// The option's name.
        key: String,
    },
    /// An option without a value.
    #[error("query {key:?} has no value")]
    NoValue {
        /// The option's name.
        key: String,
    },
    /// An option that is there twice.
    #[error("query {key:?} has multiple values")]
    SeveralValues {
        /// The option's name.
        key: String,
    },
    /// A value the option does not take.
    #[error("invalid {key} value: {value:?}")]
    Value {
        /// The option's name.
        key: String,
        /// Its value.
        value: String,
    },
    /// Two options, or an option and the fragment, disagree.
    #[error("{key} conflicts: {first:?} vs {second:?}")]
    Conflict {
        /// What they disagree about.
        key: &'static str,
        /// One value.
        first: String,
        /// The other.
        second: String,
    },
    /// A part that git would take for an option, or that holds control characters.
    #[error("{part} {value:?} cannot be used in a git address")]
    Unsafe {
        /// Which part.
        part: &'static str,
        /// Its value.
        value: String,
    },
}

impl GitReference {
    /// Reads an address; `None` if it is not meant for git.
    ///
    /// Git addresses are `git://…` and `ssh://…`, `http(s)://…` with a path ending in `.git`,
    /// and `user@host:path`. Behind them may stand options (`?tag=v1&subdir=a`) and
    /// a fragment `#ref:subdirectory`.
    ///
    /// # Errors
    ///
    /// If it is meant for git, but an option is unknown, empty or in conflict.
    pub fn parse(text: &str) -> Result<Option<Self>, GitReferenceError> {
        let Some((scheme, _)) = text.split_once("://") else {
            return scp_address(text).map(Self::from_scp).transpose();
        };
        let scheme = scheme.to_ascii_lowercase();
        if !["git", "ssh", "http", "https"].contains(&scheme.as_str()) {
            return Ok(None);
        }
        let parsed = Url::parse(text);
        if scheme.starts_with("http") {
            return match parsed {
                Ok(url) if url.path().ends_with(".git") => Self::from_url(url).map(Some),
                _ => Ok(None),
            };
        }
        Self::from_url(parsed.map_err(GitReferenceError::Url)?).map(Some)
    }

    /// Reads any URL as a git address, whatever its path ends in.
    ///
    /// # Errors
    ///
    /// As [`GitReference::parse`].
    pub fn from_url(mut url: Url) -> Result<Self, GitReferenceError> {
        let mut found = Self::at("");
        found.read_fragment(url.fragment().unwrap_or_default());
        found.read_options(&url)?;
        url.set_fragment(None);
        url.set_query(None);
        found.credentials = take_credentials(&mut url);
        found.remote = url.into();
        found.checked()
    }

    /// The default branch of a repository whose address is used as it stands.
    pub fn at(remote: impl Into<String>) -> Self {
        Self {
            remote: remote.into(),
            credentials: None,
            reference: None,
            commit: None,
            subdirectory: None,
            checksum: None,
            keep_git_dir: None,
            submodules: None,
            commit_time: false,
            fetch_by_commit: None,
        }
    }

    fn from_scp(address: Scp<'_>) -> Result<Self, GitReferenceError> {
        let mut found = Self::at(address.remote);
        found.read_fragment(address.fragment);
        let options = format!("scp://host/?{}", address.query);
        found.read_options(&Url::parse(&options).map_err(GitReferenceError::Url)?)?;
        found.checked()
    }

    fn read_fragment(&mut self, fragment: &str) {
        let fragment = percent_decode(fragment);
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((&fragment, ""));
        let (reference, commit) = reference.split_once('#').unwrap_or((reference, ""));
        self.reference = non_empty(reference);
        self.commit = non_empty(commit);
        self.subdirectory = non_empty(subdirectory);
    }

    fn read_options(&mut self, url: &Url) -> Result<(), GitReferenceError> {
        let mut seen: Vec<String> = Vec::new();
        for (key, value) in url.query_pairs() {
            let key = key.into_owned();
            if key.is_empty() && value.is_empty() {
                continue;
            }
            if seen.contains(&key) {
                return Err(GitReferenceError::SeveralValues { key });
            }
            self.read_option(&key, &value)?;
            seen.push(key);
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }

    fn read_option(&mut self, key: &str, value: &str) -> Result<(), GitReferenceError> {
        match key {
            "keep-git-dir" => self.keep_git_dir = Some(flag(key, value)?),
            "submodules" => self.submodules = Some(flag(key, value)?),
            "fetch-by-commit" => self.fetch_by_commit = Some(flag(key, value)?),
            "ref" => set("ref", &mut self.reference, wanted(key, value)?)?,
            "tag" => set(
                "ref",
                &mut self.reference,
                full("refs/tags/", wanted(key, value)?),
            )?,
            "branch" => set(
                "ref",
                &mut self.reference,
                full("refs/heads/", wanted(key, value)?),
            )?,
            "subdir" => set("subdir", &mut self.subdirectory, wanted(key, value)?)?,
            "checksum" | "commit" => set("checksum", &mut self.checksum, wanted(key, value)?)?,
            "mtime" => self.commit_time = time(key, value)?,
            _ => {
                return Err(GitReferenceError::UnknownKey {
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Refuses what git would read as an option or as something else than one word.
    fn checked(self) -> Result<Self, GitReferenceError> {
        let parts = [
            ("address", Some(&self.remote)),
            ("ref", self.reference.as_ref()),
            ("commit", self.commit.as_ref()),
            ("checksum", self.checksum.as_ref()),
        ];
        for (part, value) in parts {
            let Some(value) = value else { continue };
            if value.starts_with('-') || value.contains(|c: char| c.is_control() || c == ' ') {
                let value = value.clone();
                return Err(GitReferenceError::Unsafe { part, value });
            }
        }
        Ok(self)
    }
}

/// The parts of `user@host:path?options#fragment`.
struct Scp<'a> {
    remote: &'a str,
    query: &'a str,
    fragment: &'a str,
}

fn scp_address(text: &str) -> Option<Scp<'_>> {
    let (user, rest) = text.split_once('@')?;
    let (host, _) = rest.split_once(':')?;
    let word = |text: &str, also: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || also.contains(c);
        !text.is_empty() && text.chars().all(fits)
    };
    if !word(user, "_") || !word(host, ".") {
        return None;
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    Some(Scp {
        remote,
        query,
        fragment,
    })
}

/// Credentials of an http address move out of it; the user of an ssh address is part of it.
pub(crate) fn take_credentials(url: &mut Url) -> Option<GitCredentials> {
    let username = percent_decode(url.username());
    let password = url.password().map(percent_decode);
    let has_any = !username.is_empty() || password.is_some();
    if url.password().is_some() {
        url.set_password(None).ok();
    }
    if url.scheme() == "ssh" || !has_any {
        return None;
    }
    url.set_username("").ok();
    Some(match password {
        Some(password) => GitCredentials::Password { username, password },
        None => GitCredentials::Token {
            username: None,
            token: username,
        },
    })
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn wanted(key: &str, value: &str) -> Result<String, GitReferenceError> {
    non_empty(value).ok_or_else(|| GitReferenceError::NoValue {
        key: key.to_owned(),
    })
}

fn full(prefix: &str, name: String) -> String {
    match name.starts_with(prefix) {
        true => name,
        false => format!("{prefix}{name}"),
    }
}

fn set(
    key: &'static str,
    field: &mut Option<String>,
    second: String,
) -> Result<(), GitReferenceError> {
    match field.take() {
        Some(first) if first != second => Err(GitReferenceError::Conflict { key, first, second }),
        _ => {
            *field = Some(second);
            Ok(())
        }
    }
}

fn flag(key: &str, value: &str) -> Result<bool, GitReferenceError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad_value(key, value)),
    }
}

fn time(key: &str, value: &str) -> Result<bool, GitReferenceError> {
    match value {
        "commit" => Ok(true),
        "checkout" => Ok(false),
        _ => Err(bad_value(key, value)),
    }
}

fn bad_value(key: &str, value: &str) -> GitReferenceError {
    GitReferenceError::Value {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> GitReference {
        GitReference::parse(text)
            .unwrap()
            .unwrap_or_else(|| panic!("{text} is not for git"))
    }

    #[test]
    fn what_is_not_meant_for_git_is_left_alone() {
        for text in [
            "dir/file",
            "github.com/x/y",
            "ftp://example.com/x.git",
            "https://example.com/x.tar.gz",
            "https://example.com/x.git/",
            "http://example.com/?x.git",
            "a@b",
            "a b@c:d",
            "@host:path",
            "",
        ] {
            assert_eq!(GitReference::parse(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn remote_ref_and_directory_are_told_apart() {
        let table = [
            (
                "https://example.com/x.git",
                "https://example.com/x.git",
                None,
                None,
            ),
            (
                "http://example.com/x.git#v1",
                "http://example.com/x.git",
                Some("v1"),
                None,
            ),
            (
                "http://e.com/x.git#v1:sub",
                "http://e.com/x.git",
                Some("v1"),
                Some("sub"),
            ),
            (
                "http://e.com/x.git#:sub/deep",
                "http://e.com/x.git",
                None,
                Some("sub/deep"),
            ),
            ("http://e.com/x.git#", "http://e.com/x.git", None, None),
            ("git://e.com/x#a%20b", "git://e.com/x", None, None),
            ("ssh://git@e.com:22/x", "ssh://git@e.com:22/x", None, None),
            (
                "git@e.com:o/x.git#dev:d",
                "git@e.com:o/x.git",
                Some("dev"),
                Some("d"),
            ),
            (
                "git@e.com:o/x?branch=b",
                "git@e.com:o/x",
                Some("refs/heads/b"),
                None,
            ),
            (
                "https://e.com/x.git?tag=v1&subdir=s",
                "https://e.com/x.git",
                Some("refs/tags/v1"),
                Some("s"),
            ),
            (
                "https://e.com/x.git?branch=refs/heads/b",
                "https://e.com/x.git",
                Some("refs/heads/b"),
                None,
            ),
            (
                "https://e.com/x.git?ref=r#r",
                "https://e.com/x.git",
                Some("r"),
                None,
            ),
            (
                "https://e.com/x.git?commit=abc",
                "https://e.com/x.git",
                Some("abc"),
                None,
            ),
        ];
        for (text, remote, reference, subdirectory) in table {
            if text.contains("%20") {
                let error = GitReference::parse(text).unwrap_err();
                assert!(matches!(
                    error,
                    GitReferenceError::Unsafe { part: "ref", .. }
                ));
                continue;
            }
            let found = parsed(text);
            assert_eq!(found.remote, remote, "{text}");
            assert_eq!(found.reference.as_deref(), reference, "{text}");
            assert_eq!(found.subdirectory.as_deref(), subdirectory, "{text}");
        }
    }

    #[test]
    fn switches_are_read() {
        let found = parsed("https://e.com/x.git?keep-git-dir=1&submodules=false&mtime=commit");
        assert_eq!(found.keep_git_dir, Some(true));
        assert_eq!(found.submodules, Some(false));
        assert!(found.commit_time);
        assert_eq!(
            parsed("https://e.com/x.git?keep-git-dir").keep_git_dir,
            Some(true)
        );
        let two = parsed("git://e.com/x#refs/heads/main#0123");
        assert_eq!(
            (two.reference.as_deref(), two.commit.as_deref()),
            (Some("refs/heads/main"), Some("0123"))
        );
    }

    #[test]
    fn wrong_options_are_named() {
        let table = [
            ("?foo=1", "unexpected query \"foo\""),
            ("?ref=", "query \"ref\" has no value"),
            ("?ref=a&ref=b", "query \"ref\" has multiple values"),
            ("?ref=a#b", "ref conflicts: \"b\" vs \"a\""),
            (
                "?tag=a&branch=b",
                "ref conflicts: \"refs/tags/a\" vs \"refs/heads/b\"",
            ),
            ("?subdir=a#:b", "subdir conflicts: \"b\" vs \"a\""),
            (
                "?keep-git-dir=maybe",
                "invalid keep-git-dir value: \"maybe\"",
            ),
            ("?mtime=now", "invalid mtime value: \"now\""),
            (
                "#--upload-pack=x",
                "ref \"--upload-pack=x\" cannot be used in a git address",
            ),
        ];
        for (tail, expected) in table {
            let text = format!("https://example.com/x.git{tail}");
            assert_eq!(
                GitReference::parse(&text).unwrap_err().to_string(),
                expected
            );
        }
    }

    #[test]
    fn credentials_leave_the_address() {
        let found = parsed("https://me:s%40cret@example.com/x.git#v1");
        assert_eq!(found.remote, "https://example.com/x.git");
        let expected = GitCredentials::Password {
            username: "me".to_owned(),
            password: "s@cret".to_owned(),
        };
        assert_eq!(found.credentials, Some(expected));
        assert!(!format!("{found:?}").contains("cret"));
        let token = parsed("https://tokentoken@example.com/x.git");
        assert!(!format!("{token:?}").contains("tokentoken"));
        assert!(parsed("ssh://git@example.com/x").credentials.is_none());
    }
}
