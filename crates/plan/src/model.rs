//! The plan as a value: which stages are built, what each step does, and the image configuration it leaves.

use std::collections::BTreeMap;
use std::fmt;

use yadokari_dockerfile::Span;
use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::instruction::Mount;
use yadokari_dockerfile::lint::Warning;
use yadokari_dockerfile::value::mode::Mode;
use yadokari_image::{ContainerConfig, Digest, ImageConfig, Platform, Reference};

/// Index of a stage in the Dockerfile, counted from 0 over all FROM lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StageId(pub usize);

impl fmt::Display for StageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a build does, before any of it is done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The stages that are reached from the targets, in the order of the file.
    pub stages: Vec<Stage>,
    /// The stage whose image is published.
    pub target: StageId,
    /// Other stages that were asked for; built, not published.
    pub also: Vec<StageId>,
    /// Build checks that fired while evaluating, in the order of the file.
    pub warnings: Vec<Warning>,
    /// Seconds since 1970 that history rows carry, where one was asked for.
    pub epoch: Option<i64>,
}

impl Plan {
    /// The stage with this index, if the plan reaches it.
    pub fn stage(&self, id: StageId) -> Option<&Stage> {
        let index = self.stages.binary_search_by_key(&id, |stage| stage.id);
        index.ok().map(|index| &self.stages[index])
    }

    /// The stage whose image is published.
    pub fn target_stage(&self) -> &Stage {
        self.stage(self.target)
            .expect("the target is always reached from itself")
    }
}

/// One stage, evaluated.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Where it stands in the file.
    pub id: StageId,
    /// Its name, or `stage-N`.
    pub name: String,
    /// The lines of its FROM.
    pub span: Span,
    /// The FROM line as the file has it.
    pub title: String,
    /// What it starts from.
    pub base: Base,
    /// The platform its RUNs and images are for.
    pub platform: Platform,
    /// Its steps, ONBUILD triggers of the base first.
    pub steps: Vec<Step>,
    /// The image configuration it ends with: all but `rootfs`, `created` and the times in `history`.
    ///
    /// `history` holds the base's rows only; the steps' rows are in [`Step::history`].
    pub config: ImageConfig,
}

/// What a stage starts from.
#[derive(Debug, Clone)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage of the file.
    Stage(StageId),
    /// An image.
    Image(Box<BaseImage>),
    /// The files of a named build context.
    Context(String),
}

/// An image that was resolved to a manifest.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// What identifies it among the plan's images.
    pub key: ImageKey,
    /// The word in the Dockerfile.
    pub word: String,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its configuration.
    pub config: Digest,
}

/// An image as a Dockerfile asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageKey {
    /// Where it is.
    pub source: ImageSource,
    /// The platform wanted of it.
    pub platform: Platform,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageSource {
    /// A registry.
    Registry(Reference),
    /// An OCI layout directory, with the digest or tag that picks the image in it.
    Layout(String),
}

/// An image that the planner was given.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its configuration.
    pub config_digest: Digest,
    /// Its configuration.
    pub config: ImageConfig,
}

/// One instruction of a stage.
#[derive(Debug, Clone)]
pub struct Step {
    /// The instruction on one line, for people and for records, without passwords and signatures of URLs.
    pub title: String,
    /// Its lines; those of the FROM for a trigger of the base.
    pub span: Span,
    /// What it does to the files.
    pub operation: Operation,
    /// Its row in the image's history.
    pub history: Option<HistoryRow>,
}

/// A row of the history that a step leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The instruction in the reference's spelling.
    pub created_by: String,
    /// Whether the step makes no layer.
    pub empty_layer: bool,
}

/// What a step does to the files of its stage.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Nothing: it changes the configuration only.
    Metadata,
    /// Runs a command.
    Run(Box<Run>),
    /// Copies files in.
    Copy(Box<Copy>),
    /// Makes sure that a directory exists.
    Workdir(Workdir),
}

impl Operation {
    /// Whether the step adds a layer to the image.
    pub fn makes_layer(&self) -> bool {
        !matches!(self, Self::Metadata)
    }
}

/// A RUN.
#[derive(Debug, Clone)]
pub struct Run {
    /// The command and its arguments, shell included.
    pub argv: Vec<String>,
    /// Its environment but for HOME, secrets and proxies, in order.
    pub env: Vec<(String, String)>,
    /// Proxy variables: passed on, never part of a key.
    pub proxies: Vec<(String, String)>,
    /// Absolute working directory as written.
    pub cwd: String,
    /// User as written; empty is root.
    pub user: String,
    /// `--network`, where it says anything but `default`.
    pub network: RunNetwork,
    /// `--security=insecure`.
    pub insecure: bool,
    /// Mounts with their values resolved.
    pub mounts: Vec<RunMount>,
    /// Paths whose changes are not kept, where kaniko's rules are followed.
    pub volumes: Vec<String>,
    /// A script handed over as a file: its name below `/dev/pipes` and its content.
    pub script: Option<(String, Vec<u8>)>,
}

/// A RUN's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunNetwork {
    /// The build's.
    Default,
    /// The host's.
    Host,
    /// None but loopback.
    None,
}

/// A mount of a RUN and where its content comes from.
#[derive(Debug, Clone)]
pub struct RunMount {
    /// The mount.
    pub mount: Mount,
    /// Its absolute target; `None` for a secret that is only a variable, and for an agent at its default place.
    pub target: Option<String>,
    /// The tree that a bind shows or that seeds a cache.
    pub from: Option<Source>,
}

/// A tree that files are taken from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, at most one for each copy and mount"
)]
pub enum Source {
    /// The build context.
    Context,
    /// A named build context that is a directory.
    Named(String),
    /// Another stage.
    Stage(StageId),
    /// An image.
    Image(ImageKey),
    /// An empty tree: `scratch`.
    Scratch,
}

/// A COPY or ADD.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where path sources come from.
    pub from: Source,
    /// Path sources, expanded, in order.
    pub sources: Vec<String>,
    /// Remote sources of ADD, in order.
    pub remotes: Vec<Remote>,
    /// Files given in place, in order.
    pub documents: Vec<Document>,
    /// Absolute destination; a trailing slash counts.
    pub destination: String,
    /// `--chown`, expanded.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--link`, where it has effect.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`, with its patterns as written.
    pub exclude: Option<(Vec<String>, Patterns)>,
    /// Whether archives among the sources are extracted.
    pub unpack: Unpack,
    /// Whether this is an ADD.
    pub is_add: bool,
}

/// `--chmod`, expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chmod {
    /// As written.
    pub text: String,
    /// What it does.
    pub mode: Mode,
}

/// When a source is extracted rather than copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpack {
    /// Never: COPY, or `--unpack=false`.
    Never,
    /// Local archives are, remote ones are not: ADD.
    Local,
    /// All archives are: `--unpack=true`.
    Always,
}

/// A remote source of ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The URL.
    pub url: String,
    /// Whether it is a git repository.
    pub git: bool,
    /// `--checksum`.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: Option<bool>,
}

/// A file whose content stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// Its content, expanded.
    pub content: Vec<u8>,
}

/// A WORKDIR that has to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// The absolute path, unclean as written.
    pub path: String,
    /// The user who owns what is created, as written; empty is root.
    pub user: String,
}

/// What the planner is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Target stages as typed; empty is the last stage.
    pub targets: Vec<String>,
    /// Build arguments; a later one of the same name wins.
    pub build_args: Vec<(String, String)>,
    /// Labels that override the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// The platform asked for.
    pub platform: Option<Platform>,
    /// The platform of this machine.
    pub host: Platform,
    /// Named contexts.
    pub named: BTreeMap<String, NamedContext>,
    /// Rights granted with `--allow`.
    pub allow: Vec<String>,
    /// Host name inside a RUN.
    pub hostname: Option<String>,
    /// Plan all stages, as a check of the whole file does.
    pub all_stages: bool,
    /// Follow kaniko where it differs: USER owns what is copied without `--chown`, and what a RUN writes
    /// below a VOLUME is not kept.
    pub kaniko: bool,
    /// The ignore file of the main context, for the check that names files it hides.
    pub ignore: Option<Patterns>,
}

/// What a named context stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A tree of files.
    Files,
    /// An image.
    Image(ImageSource),
    /// `docker-image://scratch`, which is no image.
    Scratch,
    /// A value that means nothing: an error for whoever uses the context.
    Unknown(String),
}

/// The default environment of a stage that brings no PATH.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Keeps of a base's configuration what a build passes on.
///
/// The rest (`Hostname`, `Image`, `docker_version`, keys nobody knows) described the base's own
/// making and is dropped, as the reference does.
pub(crate) fn inherited(config: &ContainerConfig) -> ContainerConfig {
    ContainerConfig {
        other: Default::default(),
        ..config.clone()
    }
}
