//! Which commit a ref of a remote repository is.

use std::path::Path;

use crate::git::{CheckoutOptions, GitError, GitReference, GitTool, program};

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
        let asked = wanted_commit(reference);
        let found = match (asked, self) {
            (Some(found), _) => found,
            (None, Self::Program(program)) => {
                let session = program.session(reference, options, Path::new("/"));
                program::ask(&session, reference).await?
            }
            (None, Self::Library(library)) => library.ask(reference, options).await?,
        };
        check(reference, &found)?;
        Ok(found)
    }
}

/// A commit that is wanted by its whole hash: nobody has to be asked.
fn wanted_commit(wanted: &GitReference) -> Option<RemoteCommit> {
    let commit = wanted.commit.as_ref().or(wanted.reference.as_ref())?;
    is_full_hash(commit).then(|| RemoteCommit {
        commit: commit.clone(),
        name: None,
    })
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

pub(crate) fn missing(reference: &str) -> GitError {
    let reference = reference.to_owned();
    GitError::RefMissing { reference }
}

/// Tells whether this is a commit's whole hash, SHA-1 or SHA-256.
pub(crate) fn is_full_hash(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(text.len(), 40 | 64) && text.bytes().all(hex)
}

/// Chooses among refs, given as hashes and full names; `NAME^{}` is what the tag `NAME` stands for.
pub(crate) fn choose(name: &str, refs: &[(String, String)]) -> Option<RemoteCommit> {
    let hash_of = |wanted: &str| {
        let found = refs.iter().find(|(_, found)| *found == wanted);
        found.map(|(hash, _)| hash.clone())
    };
    candidates(name).into_iter().find_map(|full| {
        let commit = hash_of(&format!("{full}^{{}}")).or_else(|| hash_of(&full))?;
        let name = Some(full);
        Some(RemoteCommit { commit, name })
    })
}

/// The full names that a name may stand for, the likeliest first.
pub(crate) fn candidates(name: &str) -> [String; 3] {
    let below = |prefix: &str| match name.strip_prefix(prefix) {
        Some(_) => name.to_owned(),
        None => format!("{prefix}{name}"),
    };
    [below("refs/"), below("refs/heads/"), below("refs/tags/")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    #[test]
    fn branches_come_before_tags_and_tags_are_peeled() {
        let refs = |refs: &[(char, &str)]| -> Vec<_> {
            let owned = |&(digit, name): &(char, &str)| (hash(digit), name.to_owned());
            refs.iter().map(owned).collect()
        };
        let tag = [('b', "refs/tags/v1"), ('c', "refs/tags/v1^{}")];
        let both = refs(&[('a', "refs/heads/v1"), tag[0], tag[1]]);
        let longer = refs(&[('d', "refs/heads/x/v1"), tag[0], tag[1]]);
        let table = [
            ("v1", &both, Some(('a', "refs/heads/v1"))),
            ("refs/tags/v1", &both, Some(('c', "refs/tags/v1"))),
            ("heads/v1", &both, Some(('a', "refs/heads/v1"))),
            ("v1", &longer, Some(('c', "refs/tags/v1"))),
            ("nope", &both, None),
        ];
        for (name, refs, expected) in table {
            let expected = expected.map(|(digit, name)| RemoteCommit {
                commit: hash(digit),
                name: Some(name.to_owned()),
            });
            assert_eq!(choose(name, refs), expected, "{name}");
        }
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
