//! Downloads a commit and lays its files out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::git::normalise::normalise;
use crate::git::{GitCredentials, GitError, GitReference, GitTool, program};

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
    /// Whether submodules are fetched, and theirs; one that cannot be read is an error.
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
        let keep = keep.map_err(|error| GitError::at(scratch, error))?;
        let tree = keep.path().join("tree");
        fs::create_dir(&tree).map_err(|error| GitError::at(&tree, error))?;
        let (commit, commit_time) = match self {
            Self::Program(program) => {
                let session = program.session(reference, options, &tree);
                program::fill(&session, reference, &wanted, options).await?
            }
            Self::Library(library) => library.fill(reference, &wanted, options, &tree).await?,
        };
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
            remove(&tree.join(".git")).map_err(|error| GitError::at(&tree, error))?;
        }
        normalise(&tree, keep_git_dir, time)
    });
    work.await
        .unwrap_or_else(|stopped| Err(GitError::at(&top, io::Error::other(stopped))))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}
