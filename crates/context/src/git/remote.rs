//! Which commit a ref of a remote repository is.

use std::path::Path;

use crate::git::command::Session;
use crate::git::{CheckoutOptions, GitError, GitReference, GitTool};

/// A ref as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCommit {
    /// The commit's full hash.
    pub commit: String,
    /// The full name of the ref; none if a commit was asked for by its hash.
    pub name: Option<String>,
}

impl GitTool {
    /// Asks the server which commit is meant; nothing is downloaded.
    ///
    /// A full hash is taken as it stands, without asking. Of a branch and a tag of the same
    /// name the branch is meant, as `git checkout` has it.
    ///
    /// # Errors
    ///
    /// [`GitError::RefMissing`], [`GitError::Checksum`], or git's own failure.
    pub async fn resolve(
        &self,
        reference: &GitReference,
        options: &CheckoutOptions,
    ) -> Result<RemoteCommit, GitError> {
        let session = self.session(reference, options, Path::new("/"));
        let found = ask(&session, reference).await?;
        check(reference, &found)?;
        Ok(found)
    }

    pub(crate) fn session<'a>(
        &'a self,
        reference: &'a GitReference,
        options: &'a CheckoutOptions,
        directory: &'a Path,
    ) -> Session<'a> {
        Session {
            tool: self,
            remote: &reference.remote,
            directory,
            credentials: reference
                .credentials
                .as_ref()
                .or(options.credentials.as_ref()),
            insecure_tls: options.insecure_tls,
        }
    }
}

async fn ask(session: &Session<'_>, wanted: &GitReference) -> Result<RemoteCommit, GitError> {
    if let Some(commit) = wanted.commit.as_ref().or(wanted.reference.as_ref())
        && is_full_hash(commit)
    {
        let commit = commit.clone();
        return Ok(RemoteCommit { commit, name: None });
    }
    let Some(name) = &wanted.reference else {
        let listing = session
            .run(&["ls-remote", "--symref", "--", &wanted.remote, "HEAD"])
            .await?;
        return default_branch(&listing).ok_or_else(|| missing("HEAD"));
    };
    let peeled = format!("{name}^{{}}");
    let listing = session
        .run(&["ls-remote", "--", &wanted.remote, name, &peeled])
        .await?;
    choose(name, &listing).ok_or_else(|| missing(name))
}

pub(crate) fn check(wanted: &GitReference, found: &RemoteCommit) -> Result<(), GitError> {
    match &wanted.checksum {
        Some(expected) if !found.commit.starts_with(&expected.to_ascii_lowercase()) => {
            Err(GitError::Checksum {
                expected: expected.clone(),
                found: found.commit.clone(),
            })
        }
        _ => Ok(()),
    }
}

fn missing(reference: &str) -> GitError {
    let reference = reference.to_owned();
    GitError::RefMissing { reference }
}

/// Tells whether this is a commit's whole hash, SHA-1 or SHA-256.
pub(crate) fn is_full_hash(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(hex)
}

/// Reads `ls-remote --symref … HEAD`.
fn default_branch(listing: &str) -> Option<RemoteCommit> {
    let mut name = None;
    for line in listing.lines() {
        match line.split_once('\t')? {
            (target, "HEAD") if target.starts_with("ref: ") => {
                name = target.strip_prefix("ref: ").map(str::to_owned);
            }
            (hash, "HEAD") if is_full_hash(hash) => {
                let name = name.or_else(|| Some("HEAD".to_owned()));
                let commit = hash.to_owned();
                return Some(RemoteCommit { commit, name });
            }
            _ => {}
        }
    }
    None
}

/// Reads `ls-remote … NAME NAME^{}`, whose patterns also match longer names.
fn choose(name: &str, listing: &str) -> Option<RemoteCommit> {
    let below = |prefix: &str| match name.strip_prefix(prefix) {
        Some(_) => name.to_owned(),
        None => format!("{prefix}{name}"),
    };
    let hash_of = |wanted: &str| {
        let mut lines = listing.lines().filter_map(|line| line.split_once('\t'));
        let found = lines.find(|(hash, found)| *found == wanted && is_full_hash(hash));
        found.map(|(hash, _)| hash.to_owned())
    };
    [below("refs/"), below("refs/heads/"), below("refs/tags/")]
        .into_iter()
        .find_map(|full| {
            let commit = hash_of(&format!("{full}^{{}}")).or_else(|| hash_of(&full))?;
            let name = Some(full);
            Some(RemoteCommit { commit, name })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    #[test]
    fn branches_come_before_tags_and_tags_are_peeled() {
        let (a, b, c, d) = (hash('a'), hash('b'), hash('c'), hash('d'));
        let both = format!("{a}\trefs/heads/v1\n{b}\trefs/tags/v1\n{c}\trefs/tags/v1^{{}}\n");
        let tag = format!("{d}\trefs/heads/x/v1\n{b}\trefs/tags/v1\n{c}\trefs/tags/v1^{{}}\n");
        let table = [
            ("v1", both.as_str(), Some((&a, "refs/heads/v1"))),
            ("refs/tags/v1", &both, Some((&c, "refs/tags/v1"))),
            ("heads/v1", &both, Some((&a, "refs/heads/v1"))),
            ("v1", &tag, Some((&c, "refs/tags/v1"))),
            ("nope", "", None),
            ("v1", "garbage", None),
        ];
        for (name, listing, expected) in table {
            let expected = expected.map(|(commit, name)| RemoteCommit {
                commit: commit.clone(),
                name: Some(name.to_owned()),
            });
            assert_eq!(choose(name, listing), expected, "{name}");
        }
    }

    #[test]
    fn the_default_branch_has_its_name() {
        let listing = format!("ref: refs/heads/main\tHEAD\n{}\tHEAD\n", hash('a'));
        let found = default_branch(&listing).unwrap();
        assert_eq!(found.name.as_deref(), Some("refs/heads/main"));
        assert_eq!(default_branch(""), None);
    }

    #[test]
    fn a_checksum_may_be_the_beginning_of_the_commit() {
        let found = RemoteCommit {
            commit: hash('a'),
            name: None,
        };
        let mut wanted = GitReference::at("x");
        for (checksum, fits) in [
            ("aaaa", true),
            ("AAAA", true),
            ("ab", false),
            (&hash('a'), true),
        ] {
            wanted.checksum = Some(checksum.to_owned());
            assert_eq!(check(&wanted, &found).is_ok(), fits, "{checksum}");
        }
        let error = check(
            &GitReference {
                checksum: Some("12".to_owned()),
                ..wanted
            },
            &found,
        );
        let text = format!("expected checksum to match 12, got {}", hash('a'));
        assert_eq!(error.unwrap_err().to_string(), text);
    }
}
