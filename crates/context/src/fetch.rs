//! Brings a context here.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use futures::TryStreamExt as _;
use reqwest::header::HeaderMap;
use tempfile::TempDir;
use tokio_util::io::{StreamReader, SyncIoBridge};
use yadokari_layer::Limits;
use yadokari_rootfs::Root;

use crate::archive::{make_root, unpack_archive};
use crate::build_context::{BuildContext, ContextError, ContextKind};
use crate::git::{CheckoutOptions, GitReference, GitTool};
use crate::http::{Download, download, shown_url};
use crate::object::{AzureBlob, Bytestream, ObjectStores};
use crate::source::Source;
use crate::web::Web;

/// What standard input is, as the caller found it.
pub enum Stdin {
    /// Nothing can be read from it.
    Unavailable,
    /// A terminal.
    Terminal,
    /// A file or a pipe.
    Stream(Box<dyn Read + Send>),
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "Unavailable",
            Self::Terminal => "Terminal",
            Self::Stream(_) => "Stream(…)",
        })
    }
}

/// What `git://` is fetched with: no public server speaks that protocol any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullMethod {
    /// `https://`.
    #[default]
    Https,
    /// `http://`.
    Http,
    /// `git://` itself.
    Git,
}

/// How contexts are fetched.
#[derive(Debug)]
pub struct FetchOptions {
    /// For `http` and `https` contexts.
    pub web: Web,
    /// Further headers for those.
    pub headers: HeaderMap,
    /// For repositories.
    pub git: GitTool,
    /// How repositories are checked out.
    pub checkout: CheckoutOptions,
    /// The branch of a repository whose address names no ref.
    pub branch: Option<String>,
    /// What `git://` addresses mean.
    pub pull_method: PullMethod,
    /// For `s3://`, `gs://` and blobs of Azure.
    pub objects: ObjectStores,
    /// For an archive on standard input.
    pub stdin: Stdin,
    /// What an archive may ask for.
    pub limits: Limits,
    /// The directory of the context that is the context.
    pub sub_path: Option<String>,
}

impl FetchOptions {
    /// Options without standard input or sub-path.
    #[must_use]
    pub fn new(web: impl Into<Web>, git: GitTool) -> Self {
        let web = web.into();
        Self {
            objects: ObjectStores::new(web.client().clone(), []),
            web,
            headers: HeaderMap::new(),
            git,
            checkout: CheckoutOptions::default(),
            branch: None,
            pull_method: PullMethod::default(),
            stdin: Stdin::Unavailable,
            limits: Limits::default(),
            sub_path: None,
        }
    }
}

/// Makes a context ready for use; what has to be stored goes below `scratch`.
///
/// # Errors
///
/// If it cannot be reached, opened or unpacked. Nothing is left in `scratch` then.
pub async fn fetch(
    source: Source,
    scratch: &Path,
    mut options: FetchOptions,
) -> Result<BuildContext, ContextError> {
    let sub_path = options.sub_path.take();
    let context = fetch_whole(source, scratch, options).await?;
    match sub_path.filter(|path| !path.is_empty()) {
        Some(path) => context.sub_path(&path),
        None => Ok(context),
    }
}

async fn fetch_whole(
    source: Source,
    scratch: &Path,
    options: FetchOptions,
) -> Result<BuildContext, ContextError> {
    match source {
        Source::Directory(path) => BuildContext::directory(path),
        Source::Archive(path) => {
            let file = File::open(&path);
            let name = path.display().to_string();
            let file = file.map_err(|source| ContextError::Open { path, source })?;
            unpacked(file, name, ContextKind::Archive, scratch, options.limits).await
        }
        Source::Stdin => from_stdin(options, scratch).await,
        Source::Git(reference) => from_git(*reference, scratch, options).await,
        Source::Http(url) => from_http(url, scratch, options).await,
        Source::ObjectStore {
            scheme,
            bucket,
            key,
        } => {
            let name = format!("{scheme}://{bucket}/{key}");
            let bytes = match scheme {
                "s3" => options.objects.s3(&bucket, &key).await?,
                _ => options.objects.google(&bucket, &key).await?,
            };
            from_object(bytes, name, scratch, options.limits).await
        }
    }
}

async fn from_stdin(options: FetchOptions, scratch: &Path) -> Result<BuildContext, ContextError> {
    match options.stdin {
        Stdin::Unavailable => Err(ContextError::NoStdin),
        Stdin::Terminal => Err(ContextError::Terminal),
        Stdin::Stream(stream) => {
            let name = "standard input".to_owned();
            archive_or_dockerfile(stream, name, ContextKind::Archive, scratch, options.limits).await
        }
    }
}

async fn from_http(
    url: String,
    scratch: &Path,
    options: FetchOptions,
) -> Result<BuildContext, ContextError> {
    if let Some(blob) = AzureBlob::parse(&url)
        && let Some(bytes) = options.objects.azure(&blob).await?
    {
        return from_object(bytes, blob.to_string(), scratch, options.limits).await;
    }
    let request = Download {
        url,
        headers: options.headers,
        ..Download::default()
    };
    let archive = download(&options.web, &request, scratch).await;
    let archive = archive.map_err(|source| ContextError::Http {
        url: shown_url(&request.url),
        source,
    })?;
    let file = File::open(archive.path()).map_err(|source| ContextError::Open {
        path: archive.path().to_path_buf(),
        source,
    })?;
    let changed = archive.last_modified.map(|time| time.seconds);
    let context = archive_or_dockerfile(
        file,
        shown_url(&request.url),
        ContextKind::Http,
        scratch,
        options.limits,
    )
    .await?;
    Ok(context.made_at(changed))
}

/// Unpacks an object as it comes, so that it is never here in one piece.
async fn from_object(
    bytes: Bytestream,
    name: String,
    scratch: &Path,
    limits: Limits,
) -> Result<BuildContext, ContextError> {
    let reader = StreamReader::new(bytes.map_err(io::Error::other));
    let reader = SyncIoBridge::new(reader);
    unpacked(reader, name, ContextKind::Http, scratch, limits).await
}

async fn from_git(
    mut reference: GitReference,
    scratch: &Path,
    options: FetchOptions,
) -> Result<BuildContext, ContextError> {
    reference.remote = pulled_with(options.pull_method, &reference.remote);
    if reference.reference.is_none() {
        reference.reference = options.branch.filter(|branch| !branch.is_empty());
    }
    let checkout = options.git.checkout(&reference, &options.checkout, scratch);
    BuildContext::git(checkout.await?)
}

fn pulled_with(method: PullMethod, remote: &str) -> String {
    let scheme = match method {
        PullMethod::Https => "https",
        PullMethod::Http => "http",
        PullMethod::Git => return remote.to_owned(),
    };
    match remote.strip_prefix("git://") {
        Some(rest) => format!("{scheme}://{rest}"),
        None => remote.to_owned(),
    }
}

async fn unpacked<R: Read + Send + 'static>(
    archive: R,
    name: String,
    kind: ContextKind,
    scratch: &Path,
    limits: Limits,
) -> Result<BuildContext, ContextError> {
    placed(scratch, move |keep, root| {
        let done = unpack_archive(archive, &root, limits);
        done.map_err(|source| ContextError::Archive { name, source })?;
        Ok(BuildContext::unpacked(root, kind, keep))
    })
    .await
}

/// As [`unpacked`]; text that is no archive is a Dockerfile, and the context is empty.
async fn archive_or_dockerfile<R: Read + Send + 'static>(
    mut input: R,
    name: String,
    kind: ContextKind,
    scratch: &Path,
    limits: Limits,
) -> Result<BuildContext, ContextError> {
    placed(scratch, move |keep, root| {
        let unreadable = |source| ContextError::Open {
            path: name.clone().into(),
            source,
        };
        let mut start = Vec::new();
        let beginning = input.by_ref().take(BEGINNING).read_to_end(&mut start);
        beginning.map_err(unreadable)?;
        if is_dockerfile(&start) {
            return Ok(BuildContext::of_dockerfile(start, root, kind, keep));
        }
        let whole = io::Cursor::new(start).chain(input);
        let done = unpack_archive(whole, &root, limits);
        done.map_err(|source| ContextError::Archive { name, source })?;
        Ok(BuildContext::unpacked(root, kind, keep))
    })
    .await
}

/// Enough to tell an archive by, and more than any Dockerfile has.
const BEGINNING: u64 = 1 << 20;

/// Whether this is text, and all of it.
fn is_dockerfile(start: &[u8]) -> bool {
    let whole = (start.len() as u64) < BEGINNING && !start.is_empty();
    whole && !start.contains(&0) && std::str::from_utf8(start).is_ok()
}

/// Runs `work` on a thread that may block, with a place for the context below `scratch`.
async fn placed<W>(scratch: &Path, work: W) -> Result<BuildContext, ContextError>
where
    W: FnOnce(TempDir, Root) -> Result<BuildContext, ContextError> + Send + 'static,
{
    let (keep, root) = place(scratch).map_err(|source| ContextError::Open {
        path: scratch.to_path_buf(),
        source,
    })?;
    let work = tokio::task::spawn_blocking(move || work(keep, root));
    work.await.unwrap_or_else(|stopped| {
        let path = scratch.to_path_buf();
        let source = io::Error::other(stopped);
        Err(ContextError::Open { path, source })
    })
}

fn place(scratch: &Path) -> io::Result<(TempDir, Root)> {
    let keep = tempfile::Builder::new()
        .prefix("context-")
        .tempdir_in(scratch)?;
    let root = make_root(keep.path())?;
    Ok((keep, root))
}
