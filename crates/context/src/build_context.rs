//! A build context that is there, as a directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use yadokari_dockerfile::ignore::Patterns;
use yadokari_rootfs::{Exclude, ExcludePredicate, Root, ScanError, walk};
use yadokari_tree::TreePath;

use crate::archive::ArchiveError;
use crate::content_digest::UnhashedFile;
use crate::files::ContextFiles;
use crate::filter::Filter;
use crate::git::{Checkout, GitError};
use crate::http::HttpError;
use crate::object::ObjectError;

/// A directory with the files of a build; what was fetched for it goes when it is dropped.
#[derive(Debug)]
pub struct BuildContext {
    root: Arc<Root>,
    kind: ContextKind,
    commit: Option<String>,
    /// When its source says it was made.
    time: Option<i64>,
    /// The Dockerfile, where one came in place of files.
    alone: Option<Vec<u8>>,
    /// Removes what was fetched.
    _keep: Option<TempDir>,
}

/// Where a context came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextKind {
    /// A directory of this machine, used in place.
    Directory,
    /// An archive in a file or on standard input.
    Archive,
    /// A git repository.
    Git,
    /// A downloaded archive.
    Http,
}

/// Why a context could not be fetched or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The directory or archive cannot be opened, or no room made for it.
    #[error("cannot open build context `{}`", path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// The sub-path is not a directory of the context.
    #[error("the build context has no directory {path}")]
    SubPath {
        /// The sub-path.
        path: TreePath,
        /// The kernel's words.
        source: io::Error,
    },
    /// The sub-path leads out of the context.
    #[error("the sub-path {path} leads out of the build context")]
    SubPathOutside {
        /// The sub-path.
        path: String,
    },
    /// The archive cannot be unpacked.
    #[error("cannot unpack build context {name}")]
    Archive {
        /// What was being unpacked.
        name: String,
        /// Why.
        source: ArchiveError,
    },
    /// Standard input is a terminal, where nobody types archives.
    #[error("the build context is to come from standard input, which is a terminal")]
    Terminal,
    /// Standard input is closed, or was taken for something else.
    #[error("the build context is to come from standard input, which is not available")]
    NoStdin,
    /// The repository cannot be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The archive cannot be downloaded.
    #[error("cannot download build context {url}")]
    Http {
        /// The URL, without credentials.
        url: String,
        /// Why.
        source: HttpError,
    },
    /// The object cannot be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The files cannot be listed or hashed.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A file cannot be read.
    #[error("cannot read {path} of the build context")]
    Read {
        /// The file, below the context.
        path: TreePath,
        /// The kernel's words.
        source: io::Error,
    },
    /// A digest was asked for before the files were hashed.
    #[error(transparent)]
    Unhashed(#[from] UnhashedFile),
}

impl BuildContext {
    /// Uses a directory in place.
    ///
    /// # Errors
    ///
    /// If it is not a directory that can be listed.
    pub fn directory(path: impl Into<PathBuf>) -> Result<Self, ContextError> {
        Self::of(path.into(), ContextKind::Directory)
    }

    /// A repository's files as a context.
    ///
    /// # Errors
    ///
    /// If they cannot be opened.
    pub fn git(checkout: Checkout) -> Result<Self, ContextError> {
        let commit = Some(checkout.commit().to_owned());
        let time = Some(checkout.commit_time());
        let (path, keep) = checkout.into_parts();
        let context = Self::of(path, ContextKind::Git)?;
        Ok(Self {
            commit,
            time,
            _keep: Some(keep),
            ..context
        })
    }

    pub(crate) fn unpacked(root: Root, kind: ContextKind, keep: TempDir) -> Self {
        Self {
            root: Arc::new(root),
            kind,
            commit: None,
            time: None,
            alone: None,
            _keep: Some(keep),
        }
    }

    /// An empty context that came with a Dockerfile and nothing else.
    pub(crate) fn of_dockerfile(
        dockerfile: Vec<u8>,
        root: Root,
        kind: ContextKind,
        keep: TempDir,
    ) -> Self {
        Self {
            alone: Some(dockerfile),
            ..Self::unpacked(root, kind, keep)
        }
    }

    fn of(path: PathBuf, kind: ContextKind) -> Result<Self, ContextError> {
        let root = Root::open(&path).map_err(|source| ContextError::Open { path, source })?;
        Ok(Self {
            root: Arc::new(root),
            kind,
            commit: None,
            time: None,
            alone: None,
            _keep: None,
        })
    }

    /// Narrows the context to a directory in it.
    ///
    /// In a directory of this machine links on the way are followed as long as they stay in it, within fetched
    /// contexts they are not.
    ///
    /// # Errors
    ///
    /// [`ContextError::SubPath`] if there is no such directory, [`ContextError::SubPathOutside`] if it is not in the context.
    pub fn sub_path(self, path: &str) -> Result<Self, ContextError> {
        let outside = || ContextError::SubPathOutside {
            path: path.to_owned(),
        };
        if leads_out(path) {
            return Err(outside());
        }
        let below = self.directory_below(&TreePath::parse(path))?;
        let below = below.ok_or_else(outside)?;
        let root = Root::open(below).map_err(|source| ContextError::SubPath {
            path: TreePath::parse(path),
            source,
        })?;
        Ok(Self {
            root: Arc::new(root),
            ..self
        })
    }

    /// Where a directory of the context lies; `None` if that is somewhere else.
    fn directory_below(&self, path: &TreePath) -> Result<Option<PathBuf>, ContextError> {
        let refused = |source| ContextError::SubPath {
            path: path.clone(),
            source,
        };
        let below = self.root.path().join(path_of(path));
        if self.kind == ContextKind::Directory {
            let context = self.root.path().canonicalize().map_err(refused)?;
            let below = below.canonicalize().map_err(refused)?;
            return Ok(below.starts_with(context).then_some(below));
        }
        for directory in path.ancestors().chain([path.clone()]) {
            let found = self.root.metadata(&directory).map_err(refused)?;
            if !found.is_dir() {
                return Err(refused(io::ErrorKind::NotADirectory.into()));
            }
        }
        Ok(Some(below))
    }

    /// The directory, as the handle everything is opened through.
    #[must_use]
    pub fn root(&self) -> &Arc<Root> {
        &self.root
    }

    /// Where the directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Where the context came from.
    #[must_use]
    pub fn kind(&self) -> ContextKind {
        self.kind
    }

    /// The commit, if the context is a repository.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// When the context was made, in seconds since 1970, as far as its source says so: the time of a commit, or what a
    /// web server calls the last change.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.time
    }

    pub(crate) fn made_at(self, time: Option<i64>) -> Self {
        Self { time, ..self }
    }

    /// The Dockerfile that was given in place of a context, which is empty then.
    #[must_use]
    pub fn dockerfile_alone(&self) -> Option<&[u8]> {
        self.alone.as_deref()
    }

    /// Lists the files a COPY sees, on several threads.
    ///
    /// `exclude` is asked for every name; [`keep_all`] leaves nothing out. This walks the
    /// whole context each time: keep the result.
    ///
    /// # Errors
    ///
    /// If an entry that is not left out cannot be read.
    pub fn files(
        &self,
        exclude: &ExcludePredicate<'_>,
        threads: usize,
    ) -> Result<ContextFiles, ContextError> {
        let found = walk(&self.root, threads.max(1), exclude)?;
        Ok(ContextFiles::new(
            Arc::clone(&self.root),
            found,
            threads.max(1),
        ))
    }

    /// As [`BuildContext::files`], without what the patterns of an ignore file hide.
    ///
    /// # Errors
    ///
    /// As [`BuildContext::files`].
    pub fn files_without(
        &self,
        ignored: &Patterns,
        threads: usize,
    ) -> Result<ContextFiles, ContextError> {
        let filter = Filter::new(ignored);
        self.files(
            &|path, is_directory| filter.decide(path, is_directory),
            threads,
        )
    }
}

/// Leaves nothing out.
#[must_use]
pub fn keep_all(_: &TreePath, _: bool) -> Exclude {
    Exclude::Keep
}

/// Whether the path's `..` go further up than it begins.
fn leads_out(path: &str) -> bool {
    let mut depth = 0_usize;
    path.split('/').any(|name| {
        let up = name == "..";
        let out = up && depth == 0;
        match name {
            "" | "." => {}
            _ if up => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
        out
    })
}

fn path_of(path: &TreePath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}
