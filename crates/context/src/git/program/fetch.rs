//! What is asked of the git executable, and what it answers.

use crate::git::program::Session;
use crate::git::remote::{RemoteCommit, check, choose, is_full_hash, missing};
use crate::git::{CheckoutOptions, GitError, GitReference};

/// Which commit is meant, as `ls-remote` tells.
pub(crate) async fn ask(
    session: &Session<'_>,
    wanted: &GitReference,
) -> Result<RemoteCommit, GitError> {
    let Some(name) = &wanted.reference else {
        let listing = session
            .ask(&["ls-remote", "--symref", "--", &wanted.remote, "HEAD"])
            .await?;
        return default_branch(&listing).ok_or_else(|| missing("HEAD"));
    };
    let peeled = format!("{name}^{{}}");
    let listing = session
        .ask(&["ls-remote", "--", &wanted.remote, name, &peeled])
        .await?;
    choose(name, &lines(&listing)).ok_or_else(|| missing(name))
}

/// Fetches and checks out into the session's directory; gives the commit and its time.
pub(crate) async fn fill(
    session: &Session<'_>,
    reference: &GitReference,
    wanted: &RemoteCommit,
    options: &CheckoutOptions,
) -> Result<(String, i64), GitError> {
    session.run(&["init", "-q"]).await?;
    session
        .run(&["remote", "add", "origin", session.remote])
        .await?;
    let revision = fetch(session, reference, wanted, options.depth).await?;
    session
        .run(&["checkout", "-q", "-f", "--detach", &revision])
        .await?;
    let shown = session
        .run(&["show", "-s", "--format=%H %ct", "HEAD"])
        .await?;
    let (commit, time) = shown.trim().split_once(' ').unwrap_or((shown.trim(), "0"));
    let found = RemoteCommit {
        commit: commit.to_owned(),
        name: None,
    };
    // The branch may have moved since it was asked for.
    check(reference, &found)?;
    if reference.submodules.unwrap_or(options.submodules) {
        fetch_submodules(session, options.depth).await?;
    }
    Ok((found.commit, time.parse().unwrap_or(0)))
}

/// Downloads as little as the server allows, and says what to check out.
async fn fetch(
    session: &Session<'_>,
    reference: &GitReference,
    wanted: &RemoteCommit,
    depth: u32,
) -> Result<String, GitError> {
    let by_commit = reference.fetch_by_commit.unwrap_or(false) || wanted.name.is_none();
    let what = match (&wanted.name, by_commit) {
        (Some(name), false) => name,
        _ => &wanted.commit,
    };
    let depth = format!("--depth={depth}");
    let mut arguments = vec!["fetch", "-q", "--no-tags", "--no-recurse-submodules"];
    if depth != "--depth=0" {
        arguments.push(&depth);
    }
    arguments.extend(["origin", what]);
    match session.ask(&arguments).await {
        Ok(_) => Ok("FETCH_HEAD".to_owned()),
        // Many servers give out single commits only if a ref ends in them.
        Err(_) if is_full_hash(what) => fetch_everything(session, what).await,
        Err(error) => Err(error),
    }
}

async fn fetch_everything(session: &Session<'_>, commit: &str) -> Result<String, GitError> {
    let heads = "+refs/heads/*:refs/remotes/origin/*";
    let tags = "+refs/tags/*:refs/tags/*";
    let fetch = [
        "fetch",
        "-q",
        "--no-recurse-submodules",
        "origin",
        heads,
        tags,
    ];
    session.ask(&fetch).await?;
    let object = format!("{commit}^{{commit}}");
    let known = session.run(&["cat-file", "-e", &object]).await;
    let reference = commit.to_owned();
    known.map_err(|_| GitError::RefMissing { reference })?;
    Ok(commit.to_owned())
}

async fn fetch_submodules(session: &Session<'_>, depth: u32) -> Result<(), GitError> {
    let depth = format!("--depth={depth}");
    let mut arguments = vec!["submodule", "-q", "update", "--init", "--recursive"];
    if depth != "--depth=0" {
        arguments.push(&depth);
    }
    match session.directory.join(".gitmodules").exists() {
        true => session.ask(&arguments).await.map(drop),
        false => Ok(()),
    }
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

/// Reads `ls-remote …`: hashes and names of refs.
fn lines(listing: &str) -> Vec<(String, String)> {
    let lines = listing.lines().filter_map(|line| line.split_once('\t'));
    let refs = lines.filter(|(hash, _)| is_full_hash(hash));
    refs.map(|(hash, name)| (hash.to_owned(), name.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_branch_has_its_name() {
        let hash = "a".repeat(40);
        let listing = format!("ref: refs/heads/main\tHEAD\n{hash}\tHEAD\n");
        let found = default_branch(&listing).unwrap();
        assert_eq!(found.name.as_deref(), Some("refs/heads/main"));
        assert_eq!(default_branch(""), None);
    }

    #[test]
    fn lines_that_are_no_refs_are_passed_over() {
        let hash = "b".repeat(40);
        let listing = format!("garbage\nshort\trefs/heads/a\n{hash}\trefs/heads/b\n");
        assert_eq!(lines(&listing), [(hash, "refs/heads/b".to_owned())]);
    }
}
