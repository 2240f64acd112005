//! What people write for a context.

use std::path::PathBuf;

use url::Url;

use crate::add::is_http;
use crate::git::{GitReference, GitReferenceError};
use crate::object::DEFAULT_KEY;

/// Where a build context comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A directory, used in place.
    Directory(PathBuf),
    /// A tar archive in a file, compressed in any way or not at all.
    Archive(PathBuf),
    /// A tar archive on standard input.
    Stdin,
    /// A git repository.
    Git(Box<GitReference>),
    /// A tar archive to download; blobs of Azure storage are these too.
    Http(String),
    /// An archive in an object store.
    ObjectStore {
        /// `s3` or `gs`.
        scheme: &'static str,
        /// The bucket.
        bucket: String,
        /// The object's key; `context.tar.gz` if none is given.
        key: String,
    },
}

/// Why a context cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nothing is given.
    #[error("the build context is empty")]
    Empty,
    /// A scheme that no context has.
    #[error(
        "unknown build context {scheme}://; use a path, dir://, tar://, git://, file://, https://, s3:// or gs://"
    )]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
    /// No path, or no bucket, behind the scheme.
    #[error("{scheme}:// names nothing")]
    NamesNothing {
        /// The scheme.
        scheme: String,
    },
    /// A git address with wrong options.
    #[error(transparent)]
    Git(#[from] GitReferenceError),
}

impl Source {
    /// Reads a context: a path, or one of the schemes below.
    ///
    /// | form | meaning |
    /// |---|---|
    /// | `dir://PATH`, a bare path | a directory |
    /// | `tar://FILE` | an archive |
    /// | `tar://stdin`, `-` | the same on standard input |
    /// | `git://…`, `ssh://…`, `user@host:path`, `https://….git` | a repository, with `#ref:subdirectory` |
    /// | `file:///PATH` | a repository of this machine, with the same |
    /// | `http(s)://…` | an archive, or a Dockerfile alone |
    /// | `s3://BUCKET/KEY`, `gs://BUCKET/KEY` | an archive |
    ///
    /// ```
    /// use yadokari_context::Source;
    ///
    /// assert_eq!(Source::parse("dir:///workspace"), Source::parse("/workspace"));
    /// assert!(Source::parse("ftp://example.com/x").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// If the scheme is unknown, names nothing, or a git address has wrong options.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        match text {
            "" => return Err(SourceError::Empty),
            "-" | "tar://stdin" | "tar://-" => return Ok(Self::Stdin),
            _ => {}
        }
        if let Some(reference) = GitReference::parse(text)? {
            return Ok(Self::Git(Box::new(reference)));
        }
        if is_http(text) {
            return Ok(Self::Http(text.to_owned()));
        }
        match text.split_once("://") {
            // Not in `GitReference::parse`, which also reads what a Dockerfile says.
            Some(("file", _)) => Self::git(text),
            None => Ok(Self::Directory(PathBuf::from(text))),
            Some(("dir", path)) => Ok(Self::Directory(named("dir", path)?.into())),
            Some(("tar", path)) => Ok(Self::Archive(named("tar", path)?.into())),
            Some(("s3", rest)) => object("s3", rest),
            Some(("gs", rest)) => object("gs", rest),
            Some((scheme, _)) if is_scheme(scheme) => {
                let scheme = scheme.to_owned();
                Err(SourceError::UnknownScheme { scheme })
            }
            Some(_) => Ok(Self::Directory(PathBuf::from(text))),
        }
    }

    /// Reads a git address whose path need not end in `.git`.
    ///
    /// # Errors
    ///
    /// If it is not a URL or has wrong options.
    pub fn git(text: &str) -> Result<Self, SourceError> {
        let reference = match GitReference::parse(text)? {
            Some(reference) => reference,
            None => GitReference::from_url(Url::parse(text).map_err(GitReferenceError::Url)?)?,
        };
        Ok(Self::Git(Box::new(reference)))
    }
}

fn named<'a>(scheme: &str, rest: &'a str) -> Result<&'a str, SourceError> {
    match rest {
        "" => Err(SourceError::NamesNothing {
            scheme: scheme.to_owned(),
        }),
        rest => Ok(rest),
    }
}

fn object(scheme: &'static str, rest: &str) -> Result<Source, SourceError> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let key = if key.is_empty() { DEFAULT_KEY } else { key };
    Ok(Source::ObjectStore {
        scheme,
        bucket: named(scheme, bucket)?.to_owned(),
        key: key.to_owned(),
    })
}

/// `a/b://c` is a path, however odd.
fn is_scheme(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    !text.is_empty() && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_apart() {
        let directory = |path: &str| Ok(Source::Directory(path.into()));
        let table = [
            ("/workspace/", directory("/workspace/")),
            (".", directory(".")),
            ("dir://./sub", directory("./sub")),
            ("a/b://c", directory("a/b://c")),
            ("tar:///x.tar.gz", Ok(Source::Archive("/x.tar.gz".into()))),
            ("tar://stdin", Ok(Source::Stdin)),
            ("-", Ok(Source::Stdin)),
            (
                "https://e.com/x.tar.gz",
                Ok(Source::Http("https://e.com/x.tar.gz".to_owned())),
            ),
            (
                "https://a.blob.core.windows.net/c/x.tar.gz",
                Ok(Source::Http(
                    "https://a.blob.core.windows.net/c/x.tar.gz".to_owned(),
                )),
            ),
            (
                "file:///srv/x?tag=v1#:sub",
                Ok(Source::Git(Box::new(GitReference {
                    reference: Some("refs/tags/v1".to_owned()),
                    subdirectory: Some("sub".to_owned()),
                    ..GitReference::at("file:///srv/x")
                }))),
            ),
            ("", Err(SourceError::Empty)),
            (
                "dir://",
                Err(SourceError::NamesNothing {
                    scheme: "dir".to_owned(),
                }),
            ),
            (
                "s3://",
                Err(SourceError::NamesNothing {
                    scheme: "s3".to_owned(),
                }),
            ),
            (
                "ftp://x/y",
                Err(SourceError::UnknownScheme {
                    scheme: "ftp".to_owned(),
                }),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Source::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn repositories_and_buckets_are_taken_apart() {
        let Source::Git(git) = Source::parse("git://e.com/o/x#refs/heads/b#0123").unwrap() else {
            panic!("not git");
        };
        assert_eq!(git.reference.as_deref(), Some("refs/heads/b"));
        assert_eq!(git.commit.as_deref(), Some("0123"));
        assert!(matches!(Source::parse("git@e.com:o/x"), Ok(Source::Git(_))));
        assert!(matches!(
            Source::parse("https://e.com/x.git"),
            Ok(Source::Git(_))
        ));
        assert!(matches!(
            Source::git("https://e.com/o/x"),
            Ok(Source::Git(_))
        ));
        let expected = Source::ObjectStore {
            scheme: "s3",
            bucket: "b".to_owned(),
            key: "k/x.tar.gz".to_owned(),
        };
        assert_eq!(Source::parse("s3://b/k/x.tar.gz"), Ok(expected));
        for whole in ["gs://b", "gs://b/"] {
            let Ok(Source::ObjectStore { key, .. }) = Source::parse(whole) else {
                panic!("{whole} is no object");
            };
            assert_eq!(key, "context.tar.gz", "{whole}");
        }
    }
}
