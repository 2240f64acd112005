//! Downloads a commit and lays its files out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::git::command::Session;
use crate::git::normalise::normalise;
use crate::git::remote::{RemoteCommit, check, is_full_hash};
use crate::git::{GitCredentials, GitError, GitReference, GitTool};

/// How a repository is fetched, where its address does not say.
#[derive(Debug, Clone)]
pub struct CheckoutOptions {
    /// For servers that want them. Credentials in the address come first.
    pub credentials: Option<GitCredentials>,
    /// Takes any TLS certificate.
    pub insecure_tls: bool,
    /// How many commits of history come along; 0 is all of it.
    pub depth: u32,
    /// Whether `.git` stays; an address that says otherwise is an error.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched, and theirs.
    pub submodules: bool,
}

impl Default for CheckoutOptions {
    /// One commit, with submodules, without `.git`.
    fn default() -> Self {
        Self {
            credentials: None,
            insecure_tls: false,
            depth: 1,
            keep_git_dir: None,
            submodules: true,
        }
    }
}

/// Files of a commit on disk, removed when this is dropped.
///
/// Files are 0644 or 0755, directories 0755. Links are as the repository has
/// them and may point anywhere.
#[derive(Debug)]
pub struct Checkout {
    directory: PathBuf,
    commit: String,
    commit_time: i64,
    keep: TempDir,
}

impl Checkout {
    /// The wanted directory of the repository.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The commit's full hash.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// When the commit was made, in seconds since 1970.
    #[must_use]
    pub fn commit_time(&self) -> i64 {
        self.commit_time
    }

    /// The wanted directory and the owner of the files, for who keeps them longer.
    pub(crate) fn into_parts(self) -> (PathBuf, TempDir) {
        (self.directory, self.keep)
    }
}

impl GitTool {
    /// Fetches what `reference` means and checks it out below `scratch`.
    ///
    /// # Errors
    ///
    /// As [`GitTool::resolve`], and [`GitError::Subdirectory`].
    pub async fn checkout(
        &self,
        reference: &GitReference,
        options: &CheckoutOptions,
        scratch: &Path,
    ) -> Result<Checkout, GitError> {
        let keep_git_dir = keep_git_dir(reference, options)?;
        let wanted = self.resolve(reference, options).await?;
        let keep = tempfile::Builder::new().prefix("git-").tempdir_in(scratch);
        let keep = keep.map_err(|error| failed(scratch, error))?;
        let tree = keep.path().join("tree");
        fs::create_dir(&tree).map_err(|error| failed(&tree, error))?;
        let session = self.session(reference, options, &tree);
        let (commit, commit_time) = fill(&session, reference, &wanted, options).await?;
        let directory = subdirectory(&tree, reference.subdirectory.as_deref())?;
        let time = reference.commit_time.then_some(commit_time);
        tidy(tree, keep_git_dir, time).await?;
        Ok(Checkout {
            directory,
            commit,
            commit_time,
            keep,
        })
    }
}

fn keep_git_dir(reference: &GitReference, options: &CheckoutOptions) -> Result<bool, GitError> {
    match (reference.keep_git_dir, options.keep_git_dir) {
        (Some(address), Some(instruction)) if address != instruction => Err(GitError::KeepGitDir),
        (address, instruction) => Ok(address.or(instruction).unwrap_or(false)),
    }
}

async fn fill(
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
    match session.run(&arguments).await {
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
    session.run(&fetch).await?;
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
        true => session.run(&arguments).await.map(drop),
        false => Ok(()),
    }
}

/// Goes down name by name, since a link in a repository may lead anywhere.
fn subdirectory(tree: &Path, wanted: Option<&str>) -> Result<PathBuf, GitError> {
    let Some(wanted) = wanted else {
        return Ok(tree.to_path_buf());
    };
    let refused = |reason| GitError::Subdirectory {
        subdirectory: wanted.to_owned(),
        reason,
    };
    let mut path = tree.to_path_buf();
    for name in wanted.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." || name == ".git" {
            return Err(refused("it leaves the files of the repository"));
        }
        path.push(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(refused("not a directory")),
            Err(_) => return Err(refused("no such file or directory")),
        }
    }
    Ok(path)
}

async fn tidy(tree: PathBuf, keep_git_dir: bool, time: Option<i64>) -> Result<(), GitError> {
    let top = tree.clone();
    let work = tokio::task::spawn_blocking(move || {
        if !keep_git_dir {
            remove(&tree.join(".git")).map_err(|error| failed(&tree, error))?;
        }
        normalise(&tree, keep_git_dir, time)
    });
    work.await
        .unwrap_or_else(|stopped| Err(failed(&top, io::Error::other(stopped))))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

pub(crate) fn failed(path: &Path, source: io::Error) -> GitError {
    let path = path.to_path_buf();
    GitError::Io { path, source }
}
