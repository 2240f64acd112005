//! Finds the Dockerfile.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use yadokari_tree::TreePath;

use crate::add::is_http;
use crate::build_context::{BuildContext, ContextError, ContextKind};
use crate::fetch::Stdin;
use crate::http::{Download, HttpError, download, shown_url};
use crate::ignore::{self, IGNORE_LIMIT, IgnoreFile, is_missing};
use crate::web::Web;

/// Which Dockerfile is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileName {
    /// `Dockerfile`, or else `dockerfile`, of the context.
    Default,
    /// A path, an `http(s)` URL, or `-` for standard input.
    Given(String),
}

/// A Dockerfile, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileSource {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its name for messages.
    pub name: String,
    /// The ignore file beside it that is named after it.
    pub own_ignore: Option<IgnoreFile>,
}

/// Why there is no Dockerfile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerfileError {
    /// There is no such file.
    #[error("failed to read dockerfile: open {name}: no such file or directory")]
    Missing {
        /// The wanted name.
        name: String,
        /// The context in which it was looked for, if that is a directory of this machine.
        directory: Option<PathBuf>,
        /// The file that podman would take there, if it is there and no other was named.
        containerfile: Option<PathBuf>,
    },
    /// It is there and cannot be read.
    #[error("failed to read dockerfile: open {name}")]
    Read {
        /// The file.
        name: String,
        /// The kernel's words.
        source: io::Error,
    },
    /// It is to come from standard input, which is a terminal or closed.
    #[error("failed to read dockerfile: standard input is not available")]
    NoStdin,
    /// It cannot be downloaded.
    #[error("failed to read dockerfile: {url}")]
    Http {
        /// The URL, without credentials.
        url: String,
        /// Why.
        source: HttpError,
    },
    /// The ignore file beside it cannot be read.
    #[error(transparent)]
    Ignore(#[from] ContextError),
}

/// Finds and reads the Dockerfile, and the ignore file that belongs to it alone.
///
/// A given path is looked up as it stands, then below the context. Without one, the
/// context's `Dockerfile` comes first, then its `dockerfile`, then `Dockerfile` as it
/// stands. A context that is a Dockerfile and nothing else is it. Links in the context are followed inside it. A download passes through
/// `scratch`.
///
/// # Errors
///
/// [`DockerfileError::Missing`] if it is nowhere.
pub async fn find_dockerfile(
    wanted: &DockerfileName,
    context: &BuildContext,
    stdin: Stdin,
    web: &Web,
    scratch: &Path,
) -> Result<DockerfileSource, DockerfileError> {
    let name = match wanted {
        DockerfileName::Given(name) if name == "-" => return from_stdin(stdin),
        DockerfileName::Given(name) if is_http(name) => {
            return from_http(name, web, scratch).await;
        }
        DockerfileName::Given(name) => name.as_str(),
        DockerfileName::Default => DEFAULT,
    };
    if let (DEFAULT, Some(bytes)) = (name, context.dockerfile_alone()) {
        return Ok(DockerfileSource {
            bytes: bytes.to_vec(),
            name: DEFAULT.to_owned(),
            own_ignore: None,
        });
    }
    let places = match wanted {
        DockerfileName::Default => [Place::Context, Place::AsGiven],
        DockerfileName::Given(_) => [Place::AsGiven, Place::Context],
    };
    for place in places {
        if let Some(found) = look(place, name, context)? {
            return Ok(found);
        }
    }
    Err(missing(wanted, name, context))
}

/// Says where the file was looked for, and what is there in its place.
fn missing(wanted: &DockerfileName, name: &str, context: &BuildContext) -> DockerfileError {
    let is_here = context.kind() == ContextKind::Directory;
    let directory = is_here.then(|| context.path());
    let other = directory.map(|directory| directory.join(CONTAINERFILE));
    DockerfileError::Missing {
        name: name.to_owned(),
        directory: directory.map(Path::to_owned),
        containerfile: other.filter(|path| *wanted == DockerfileName::Default && path.is_file()),
    }
}

const DEFAULT: &str = "Dockerfile";
/// What podman and buildah call it.
const CONTAINERFILE: &str = "Containerfile";
/// The largest Dockerfile that is read, in bytes.
const LIMIT: u64 = 16 << 20;

#[derive(Clone, Copy)]
enum Place {
    AsGiven,
    Context,
}

fn look(
    place: Place,
    name: &str,
    context: &BuildContext,
) -> Result<Option<DockerfileSource>, DockerfileError> {
    match place {
        Place::AsGiven => first(name, as_given),
        Place::Context => first(name, |name| in_context(name, context)),
    }
}

/// Looks a name up, and where it ends in `Dockerfile` and is not there, the same in lowercase.
fn first(
    name: &str,
    look: impl Fn(&str) -> Result<Option<DockerfileSource>, DockerfileError>,
) -> Result<Option<DockerfileSource>, DockerfileError> {
    let directory = name
        .strip_suffix(DEFAULT)
        .filter(|rest| rest.is_empty() || rest.ends_with('/'));
    let lowercase = directory.map(|directory| format!("{directory}dockerfile"));
    for name in [name].into_iter().chain(lowercase.as_deref()) {
        if let Some(found) = look(name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn as_given(name: &str) -> Result<Option<DockerfileSource>, DockerfileError> {
    let Some(bytes) = read(Path::new(name), LIMIT)? else {
        return Ok(None);
    };
    let beside = format!("{name}.dockerignore");
    let own = read(&PathBuf::from(&beside), IGNORE_LIMIT)?;
    Ok(Some(DockerfileSource {
        bytes,
        name: name.to_owned(),
        own_ignore: own.map(|bytes| IgnoreFile {
            name: beside,
            bytes,
        }),
    }))
}

fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DockerfileError> {
    let failed = |source| DockerfileError::Read {
        name: path.display().to_string(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    bounded(file, limit).map(Some).map_err(failed)
}

fn in_context(
    name: &str,
    context: &BuildContext,
) -> Result<Option<DockerfileSource>, DockerfileError> {
    let bytes = match context.root().read_file(&TreePath::parse(name), LIMIT) {
        Ok(bytes) => bytes,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(source) => {
            let name = name.to_owned();
            return Err(DockerfileError::Read { name, source });
        }
    };
    Ok(Some(DockerfileSource {
        bytes,
        name: name.to_owned(),
        own_ignore: ignore::read(context, &format!("{name}.dockerignore"))?,
    }))
}

fn from_stdin(stdin: Stdin) -> Result<DockerfileSource, DockerfileError> {
    let Stdin::Stream(stream) = stdin else {
        return Err(DockerfileError::NoStdin);
    };
    let name = "-".to_owned();
    match bounded(stream, LIMIT) {
        Ok(bytes) => Ok(DockerfileSource {
            bytes,
            name: DEFAULT.to_owned(),
            own_ignore: None,
        }),
        Err(source) => Err(DockerfileError::Read { name, source }),
    }
}

async fn from_http(
    url: &str,
    web: &Web,
    scratch: &Path,
) -> Result<DockerfileSource, DockerfileError> {
    let request = Download {
        url: url.to_owned(),
        limit: Some(LIMIT),
        ..Download::default()
    };
    let name = shown_url(url);
    let file = download(web, &request, scratch).await;
    let file = file.map_err(|source| DockerfileError::Http {
        url: name.clone(),
        source,
    })?;
    match std::fs::read(file.path()) {
        Ok(bytes) => Ok(DockerfileSource {
            bytes,
            name,
            own_ignore: None,
        }),
        Err(source) => Err(DockerfileError::Read { name, source }),
    }
}

fn bounded(reader: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}
