//! Why a build ended without an image.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use yadokari_cache::mounts::MountError;
use yadokari_context::{
    ContextError, DockerfileError, GitError, GitReferenceError, HttpError, SourceError,
};
use yadokari_dockerfile::ignore::PatternError;
use yadokari_dockerfile::lint::{Earlier, Violations, Warning};
use yadokari_dockerfile::{CheckOptionsError, ParseError, Span};
use yadokari_layer::{CompressError, ReadError, WriteError};
use yadokari_plan::{PlanError, PlanErrorKind};
use yadokari_registry::RegistryError;
use yadokari_rootfs::{CopyError, ScanError, UnpackError};
use yadokari_sandbox::RunError;
use yadokari_store::{ExportError, InvalidImage, LayoutError, StoreError};
use yadokari_tree::ApplyError;

use crate::copy::{CopyFailure, ExtractFailure};
use crate::outputs::engine::EngineError;
use crate::outputs::places::{OutputFailure, shown};
use crate::ssh::SshError;
use crate::users::UnknownAccount;

/// A build that failed: why, and at which lines of which Dockerfile.
///
/// Cheap to clone, because several stages may wait for the one that failed.
#[derive(Debug, Clone)]
pub struct BuildError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: BuildErrorKind,
    span: Option<Span>,
    file: Option<Arc<SourceFile>>,
    /// What the build checks found before planning failed.
    warnings: Earlier,
}

/// A Dockerfile as errors quote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name for messages.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A place in a Dockerfile.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    /// The file's name for messages.
    pub name: &'a str,
    /// The file's bytes.
    pub bytes: &'a [u8],
    /// The lines, and maybe the columns.
    pub span: Span,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildErrorKind {
    /// The Dockerfile is nowhere, or cannot be read.
    #[error(transparent)]
    Dockerfile(#[from] DockerfileError),
    /// The Dockerfile cannot be parsed.
    #[error("{0}")]
    Parse(ParseError),
    /// The Dockerfile parses and cannot be evaluated.
    #[error("{0}")]
    Plan(PlanErrorKind),
    /// What `--ssh` names cannot be used.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// Build checks fired, and the Dockerfile says that they count.
    #[error(transparent)]
    Lint(#[from] Violations),
    /// The options of the build checks make no sense.
    #[error(transparent)]
    CheckOptions(#[from] CheckOptionsError),
    /// A build context cannot be had.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The words that name a context make no sense.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A pattern of an ignore file is wrong.
    #[error("{file}: {source}")]
    Ignore {
        /// The ignore file.
        file: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// An image of the Dockerfile cannot be resolved.
    #[error("{word}: failed to resolve source metadata for {reference}{}{}", not_found(.source), did_you_mean(.suggestion.as_deref()))]
    Resolve {
        /// The word in the Dockerfile.
        word: String,
        /// The image it means.
        reference: String,
        /// What the registry said.
        source: Box<RegistryError>,
        /// A stage or a well-known image with a similar name, where there is no such image.
        suggestion: Option<String>,
        /// Tags that its repository has, where only the tag is missing; the nearest first.
        tags: Vec<String>,
    },
    /// A registry refused something else.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The files that a COPY or ADD names cannot be put where it says.
    #[error("{0}")]
    Copy(#[from] CopyFailure),
    /// A source of a COPY is not there, and something of a similar name is.
    #[error("\"{path}\": not found (did you mean {near}?)")]
    Misspelt {
        /// The source as a path in the tree it comes from.
        path: String,
        /// The path that is there.
        near: String,
    },
    /// A source of a COPY is not there, and an ignore file is why.
    #[error("\"{path}\": not found")]
    Ignored {
        /// The source as a path of the context.
        path: String,
        /// The ignore file.
        file: String,
        /// Its line.
        line: usize,
        /// The pattern on that line.
        pattern: String,
    },
    /// An archive of an ADD cannot be extracted.
    #[error("{0}")]
    Extract(#[from] ExtractFailure),
    /// A remote source of an ADD cannot be downloaded.
    #[error("failed to load cache key: {0}")]
    Download(#[from] HttpError),
    /// The digest cannot be sent to the URL that is to have it.
    #[error("cannot send the digest to its URL")]
    SendDigest(#[source] HttpError),
    /// A git source of an ADD cannot be checked out.
    #[error("failed to load cache key: {0}")]
    Git(#[from] GitError),
    /// The words that name a git repository make no sense.
    #[error(transparent)]
    GitReference(#[from] GitReferenceError),
    /// A layer that came from the cache is not there, or is not what its record says.
    #[error("the cached layer {layer} cannot be used: {reason}")]
    CachedLayer {
        /// The layer's digest.
        layer: yadokari_image::Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// A server says that a file is what an earlier build found, and sends another one.
    #[error("{url} is said to be unchanged, which is {expected}, and comes as {found}")]
    OtherDownload {
        /// The address, without what may be secret in it.
        url: String,
        /// The digest that the earlier build found.
        expected: yadokari_image::Digest,
        /// That of what was sent.
        found: yadokari_image::Digest,
    },
    /// A layer unpacks to other bytes than its image says.
    #[error("the layer {layer} unpacks to {found}, and its image says {expected}")]
    OtherLayer {
        /// The layer's digest.
        layer: yadokari_image::Digest,
        /// The diff id that the image's configuration has.
        expected: yadokari_image::DiffId,
        /// That of the bytes.
        found: yadokari_image::DiffId,
    },
    /// A command ended with a status other than 0.
    #[error("process {command} did not complete successfully: exit code: {code}{}", cause.map(|cause| format!(" ({cause})")).unwrap_or_default())]
    Failed {
        /// The command, quoted.
        command: String,
        /// Its exit status.
        code: i32,
        /// Why a signal ended it, as far as one can tell.
        cause: Option<&'static str>,
    },
    /// A command could not be run.
    #[error("process {command} did not complete successfully: {source}")]
    Run {
        /// The command, quoted.
        command: String,
        /// Why.
        source: RunError,
    },
    /// A RUN asks for what commands cannot be given here.
    #[error("{0}")]
    Unable(RunError),
    /// A RUN's user is not in the image.
    #[error("process {command} did not complete successfully: {source}")]
    User {
        /// The command, quoted.
        command: String,
        /// Who is missing.
        source: UnknownAccount,
    },
    /// A required secret was not given.
    #[error("secret {0}: not found")]
    SecretMissing(String),
    /// The file that is to hold a secret cannot be read.
    #[error("--secret id={id}: cannot read {}", .path.display())]
    SecretFile {
        /// The secret.
        id: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A required agent was not given.
    #[error("no SSH key {0:?} forwarded from the client")]
    AgentMissing(String),
    /// A mount shows something that is not there.
    #[error("\"{0}\": not found")]
    MountMissing(String),
    /// A flag's value is out of what can be done here.
    #[error("{0}")]
    Refused(String),
    /// A layer cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A layer cannot be compressed.
    #[error(transparent)]
    Compress(#[from] CompressError),
    /// A layer cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A layer's entries do not fit on the layers below.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The directory of a cache mount cannot be used.
    #[error(transparent)]
    CacheMount(#[from] MountError),
    /// A layer cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A root filesystem cannot be scanned.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A root filesystem cannot be copied.
    #[error(transparent)]
    CopyRoot(#[from] CopyError),
    /// The spool failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image cannot be loaded into an engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A result on disk cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// An OCI layout cannot be read or written.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Manifest, configuration and layers do not agree: a defect of this program, or damage on disk.
    #[error(transparent)]
    Invalid(#[from] InvalidImage),
    /// A result cannot be written where it is wanted.
    #[error("cannot write {}", shown(.path))]
    Output {
        /// Where, as it was asked for.
        path: PathBuf,
        /// Why.
        source: Box<OutputFailure>,
    },
    /// A file or directory of the state directory failed.
    #[error("cannot read or write {}", .path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The build was stopped from outside.
    #[error("interrupted")]
    Cancelled,
}

fn resolve_hint(
    word: &str,
    error: &RegistryError,
    suggestion: Option<&str>,
    tags: &[String],
) -> Option<String> {
    match (suggestion, tags) {
        (_, [_, ..]) => Some(format!(
            "`{}` is there and has other tags: {}",
            error.repository,
            tags.join(", ")
        )),
        // A registry that cannot be asked says nothing of images, so it is a stage that is meant.
        (Some(stage), []) if !error.is_not_found() => Some(format!(
            "no stage above is called `{word}`, so it was looked up as an image; the stage is called `{stage}`"
        )),
        _ => error.hint(),
    }
}

fn not_found(error: &RegistryError) -> &'static str {
    if error.is_not_found() {
        ": not found"
    } else {
        ""
    }
}

fn did_you_mean(name: Option<&str>) -> String {
    name.map(|name| format!(" (did you mean {name}?)"))
        .unwrap_or_default()
}

impl<E: Into<BuildErrorKind>> From<E> for BuildError {
    fn from(error: E) -> Self {
        Self(Arc::new(Inner {
            kind: error.into(),
            span: None,
            file: None,
            warnings: Earlier::default(),
        }))
    }
}

impl From<PlanError> for BuildError {
    fn from(error: PlanError) -> Self {
        Self(Arc::new(Inner {
            kind: BuildErrorKind::Plan(error.kind),
            span: error.span,
            file: None,
            warnings: error.warnings,
        }))
    }
}

impl From<ParseError> for BuildError {
    fn from(error: ParseError) -> Self {
        let span = error.span;
        Self(Arc::new(Inner {
            kind: BuildErrorKind::Parse(error),
            span,
            file: None,
            warnings: Earlier::default(),
        }))
    }
}

impl BuildError {
    /// An operation on a file of ours that failed.
    pub(crate) fn disk(path: &Path, source: io::Error) -> Self {
        BuildErrorKind::Disk {
            path: path.to_owned(),
            source,
        }
        .into()
    }

    /// What failed.
    pub fn kind(&self) -> &BuildErrorKind {
        &self.0.kind
    }

    /// What the build checks found before planning failed, wanted or not.
    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.0.warnings
    }

    /// Says at which lines, unless that is known already.
    #[must_use]
    pub(crate) fn at(self, span: Span) -> Self {
        if self.0.span.is_some() {
            self
        } else {
            self.rebuilt(|inner| inner.span = Some(span))
        }
    }

    /// Says in which file, unless that is known already.
    #[must_use]
    pub(crate) fn in_file(self, file: &Arc<SourceFile>) -> Self {
        if self.0.file.is_some() {
            self
        } else {
            self.rebuilt(|inner| inner.file = Some(Arc::clone(file)))
        }
    }

    fn rebuilt(self, change: impl FnOnce(&mut Inner)) -> Self {
        // An error that is shared already has its place; one that was just made is not shared.
        match Arc::try_unwrap(self.0) {
            Ok(mut inner) => {
                change(&mut inner);
                Self(Arc::new(inner))
            }
            Err(shared) => Self(shared),
        }
    }

    /// Where in which Dockerfile.
    pub fn location(&self) -> Option<Location<'_>> {
        let file = self.0.file.as_deref()?;
        let span = self.0.span?;
        Some(Location {
            name: &file.name,
            bytes: &file.bytes,
            span,
        })
    }

    /// The exit status for this failure: a command's own, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match &self.0.kind {
            BuildErrorKind::Failed { code, .. } => u8::try_from(*code).unwrap_or(1),
            BuildErrorKind::Cancelled => 130,
            _ => 1,
        }
    }

    /// What to do about it, where something can be said.
    pub fn hint(&self) -> Option<String> {
        match &self.0.kind {
            BuildErrorKind::Parse(error) => error.hint(),
            BuildErrorKind::Resolve {
                word,
                source,
                suggestion,
                tags,
                ..
            } => resolve_hint(word, source, suggestion.as_deref(), tags),
            BuildErrorKind::Registry(source) => source.hint(),
            BuildErrorKind::Ignored { path, file, .. } => {
                Some(format!("add `!{}` to {file}", path.trim_start_matches('/')))
            }
            BuildErrorKind::SecretMissing(id) => Some(format!(
                "pass it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`"
            )),
            BuildErrorKind::SecretFile { .. } => {
                Some("name a file that is there with src=FILE, or a variable with env=NAME".to_owned())
            }
            BuildErrorKind::Output { path, source } => source.hint(path),
            BuildErrorKind::AgentMissing(id) => {
                let id = if id.is_empty() { "default" } else { id };
                Some(format!(
                    "pass an agent with `--ssh {id}`, or a key with `--ssh {id}=KEYFILE`"
                ))
            }
            BuildErrorKind::Ssh(error) => error.hint(),
            BuildErrorKind::Unable(_) => Some(
                "choose --isolation=namespaces where it works; `yadokari doctor` says where that is"
                    .to_owned(),
            ),
            BuildErrorKind::User { .. } => {
                Some("add the user or group in an earlier RUN, or give its number".to_owned())
            }
            BuildErrorKind::MountMissing(_) => Some(
                "source= is looked up in the build context, or in the root of what from= names"
                    .to_owned(),
            ),
            BuildErrorKind::Git(error) | BuildErrorKind::Context(ContextError::Git(error))
                if error.needs_program() =>
            {
                Some("use an https:// address, or an image with git".to_owned())
            }
            BuildErrorKind::Run {
                source: RunError::NoIsolation { .. },
                ..
            } => Some("`yadokari doctor` says what each of them needs".to_owned()),
            BuildErrorKind::Plan(kind) => kind.hint(),
            BuildErrorKind::Store(error) if error.is_disk_full() => {
                Some("free some space, or choose another place with --state-dir".to_owned())
            }
            BuildErrorKind::Read(error)
            | BuildErrorKind::Unpack(UnpackError::Archive(error))
            | BuildErrorKind::Extract(ExtractFailure::Read(error)) => of_limit(error),
            _ => of_limit_below(self),
        }
    }
}

/// The same for an error that was met while the bytes of a member were read.
fn of_limit_below(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let wrapped = chain.filter_map(|error| error.downcast_ref::<std::io::Error>()?.get_ref());
    wrapped
        .filter_map(|inner| inner.downcast_ref::<ReadError>())
        .find_map(of_limit)
}

/// How to allow an archive more than it usually may have.
fn of_limit(error: &ReadError) -> Option<String> {
    let flag = match error {
        ReadError::UnpackedTooLong { .. } => "--max-layer-size",
        ReadError::TooManyEntries { .. } => "--max-layer-entries",
        _ => return None,
    };
    Some(format!(
        "if it is not there to do harm, allow more with {flag}"
    ))
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.kind.source()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use yadokari_registry::{Cause, Operation};

    use super::*;

    /// What is said of an image of which a registry says this.
    fn hint(cause: Cause, suggestion: Option<&str>, tags: &[&str]) -> String {
        let source = Box::new(RegistryError {
            registry: "docker.io".to_owned(),
            repository: "library/biuld".to_owned(),
            operation: Operation::PullManifest("latest".to_owned()),
            cause: Box::new(cause),
        });
        let kind = BuildErrorKind::Resolve {
            word: "biuld".to_owned(),
            reference: "docker.io/library/biuld:latest".to_owned(),
            source,
            suggestion: suggestion.map(str::to_owned),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        };
        BuildError::from(kind).hint().unwrap_or_default()
    }

    fn silent() -> Cause {
        Cause::Silent {
            waited: Duration::from_secs(1),
        }
    }

    fn missing() -> Cause {
        Cause::Rejected {
            status: 404,
            code: None,
            message: String::new(),
            retry_after: None,
        }
    }

    #[test]
    fn an_image_that_cannot_be_had_may_be_a_stage_or_have_another_tag() {
        let stage = hint(silent(), Some("build"), &[]);
        assert!(
            stage.contains("no stage above is called `biuld`"),
            "{stage}"
        );
        assert!(stage.contains("the stage is called `build`"), "{stage}");
        let tags = hint(missing(), None, &["1.0", "1.1"]);
        assert!(tags.ends_with("has other tags: 1.0, 1.1"), "{tags}");
        let image = hint(missing(), Some("alpine"), &[]);
        assert!(
            image.contains("check the spelling of `library/biuld`"),
            "{image}"
        );
    }
}
