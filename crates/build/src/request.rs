//! What to build, where it goes, and how: the one value that command lines become.
//!
//! `cli` turns flags and environment into a [`BuildRequest`]; nothing after it sees a flag or a variable.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use yadokari_image::{Platform, Reference};
use yadokari_layer::{Compression, Limits};

/// Everything one build depends on besides the files it reads and the registries it talks to.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The main build context and the named ones.
    pub contexts: Contexts,
    /// The Dockerfile as given (`-` is standard input, an http(s) URL is fetched).
    pub dockerfile: String,
    /// What messages call the Dockerfile, where that is not its path.
    pub dockerfile_name: Option<String>,
    /// Stages to build; the first is the one published. Empty means the last stage of the file.
    pub targets: Vec<String>,
    /// Build arguments, in the order given; a later one of the same name wins.
    pub build_args: Vec<(String, String)>,
    /// Labels that override the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifests and indexes.
    pub annotations: Annotations,
    /// The platforms asked for, an image each, in this order; several make an index. Empty builds
    /// for the host and lets the base image decide.
    pub platforms: Vec<Platform>,
    /// The platform this process runs on.
    pub host: Platform,
    /// Secrets and agents that RUN mounts may ask for.
    pub secrets: Secrets,
    /// What every RUN of the build gets.
    pub run: RunDefaults,
    /// Where results of steps are remembered.
    pub cache: CacheRequest,
    /// What becomes of cache mounts after their RUN.
    pub cache_mounts: CacheMountRequest,
    /// An OCI layout with base layers that were fetched ahead; it need not exist.
    pub warmed: Option<PathBuf>,
    /// What is published, and where.
    pub outputs: Outputs,
    /// How image, manifests and layers are encoded.
    pub format: Format,
    /// Which times go into the image.
    pub times: Times,
    /// Whose rules decide where builders differ.
    pub compat: Compat,
    /// How snapshots are taken.
    pub snapshot: SnapshotRequest,
    /// What a layer, or an archive of ADD, may unpack to.
    pub limits: Limits,
    /// Directory for stage roots, spooled layers and journals.
    pub state_dir: PathBuf,
    /// Options of the `check` directive given on the command line, which replace it.
    pub check: Option<String>,
}

/// Annotations by the document they are put on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// On the manifest of every platform.
    pub manifest: BTreeMap<String, String>,
    /// On the manifest of one platform, besides.
    pub platform_manifest: Vec<(Platform, String, String)>,
    /// On a manifest's entry in the index of several platforms.
    pub descriptor: BTreeMap<String, String>,
    /// On the entry of one platform, besides.
    pub platform_descriptor: Vec<(Platform, String, String)>,
    /// On the index of several platforms.
    pub index: BTreeMap<String, String>,
}

impl Annotations {
    /// Those of the manifest of a platform; without one, of the only manifest there is.
    #[must_use]
    pub fn of_manifest(&self, platform: Option<&Platform>) -> BTreeMap<String, String> {
        joined(&self.manifest, &self.platform_manifest, platform)
    }

    /// Those of the entry of a platform; without one, of the only entry there is.
    #[must_use]
    pub fn of_descriptor(&self, platform: Option<&Platform>) -> BTreeMap<String, String> {
        joined(&self.descriptor, &self.platform_descriptor, platform)
    }
}

fn joined(
    all: &BTreeMap<String, String>,
    named: &[(Platform, String, String)],
    wanted: Option<&Platform>,
) -> BTreeMap<String, String> {
    let mut joined = all.clone();
    let named = named
        .iter()
        .filter(|(platform, ..)| wanted.is_none_or(|wanted| platform == wanted));
    joined.extend(named.map(|(_, key, value)| (key.clone(), value.clone())));
    joined
}

/// Build contexts.
#[derive(Debug, Clone, Default)]
pub struct Contexts {
    /// The main context as given: `dir://`, `tar://`, a URL or a path.
    pub main: String,
    /// A directory below the context to use in its place.
    pub sub_path: Option<PathBuf>,
    /// Named contexts, as `--build-context name=value` gives them.
    pub named: Vec<(String, String)>,
    /// How git contexts are cloned.
    pub git: GitOptions,
}

/// How a git context is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitOptions {
    /// Branch to clone when the URL names none.
    pub branch: Option<String>,
    /// Fetch one branch only.
    pub single_branch: bool,
    /// Depth of history; `None` is all of it.
    pub depth: Option<u32>,
    /// Fetch submodules too.
    pub recurse_submodules: bool,
    /// Accept any certificate.
    pub insecure_skip_tls: bool,
    /// What `git://` addresses are fetched with.
    pub pull: GitPull,
    /// User name for https remotes.
    pub username: Option<String>,
    /// Password or token for https remotes; never printed.
    pub password: Option<Secret>,
}

/// What `git://` addresses are fetched with; few servers speak that protocol itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GitPull {
    /// https.
    #[default]
    Https,
    /// http.
    Http,
    /// The git protocol.
    Git,
}

/// A value that must not reach a log: printing it shows `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps secret bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves, for the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Secrets and ssh agents by id.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Secret id to its source.
    pub values: BTreeMap<String, SecretSource>,
    /// ssh agent id (`default` when unnamed) to the agent's socket or key files.
    pub ssh: BTreeMap<String, Vec<PathBuf>>,
}

/// Where a secret's bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read when a step that mounts the secret runs.
    File(PathBuf),
    /// A value taken from the environment.
    Value(Secret),
}

/// What every RUN gets unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub struct RunDefaults {
    /// Network of a RUN without `--network`.
    pub network: Network,
    /// Host name inside a RUN; `None` is the builder's default.
    pub hostname: Option<String>,
    /// Extra `/etc/hosts` entries, name and address.
    pub add_hosts: Vec<(String, String)>,
    /// Limits as `name=soft[:hard]`.
    pub ulimits: Vec<String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// `network.host` and `security.insecure` where they were granted.
    pub allow: Vec<String>,
}

/// The network a RUN sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Whatever the executor itself has.
    #[default]
    Default,
    /// The executor's own network, asked for by name.
    Host,
    /// A loopback device only.
    None,
}

/// The layer cache.
#[derive(Debug, Clone)]
pub struct CacheRequest {
    /// Look steps up and record them.
    pub enabled: bool,
    /// Where records live; `None` derives it from the first destination.
    pub repository: Option<CacheLocation>,
    /// Further places that are read, in this order.
    pub sources: Vec<CacheSource>,
    /// Names that part the records of branches: the first is written and read, the others are read. Empty is one
    /// nameless scope.
    pub scopes: Vec<String>,
    /// Records older than this are not used.
    pub ttl: Duration,
    /// Cache RUN layers.
    pub run_layers: bool,
    /// Cache COPY and ADD layers.
    pub copy_layers: bool,
    /// Write new records.
    pub push: bool,
    /// Ignore records for these stages, or for all.
    pub no_cache: NoCache,
}

/// Cache mounts of RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountRequest {
    /// Where they are kept.
    pub keep: KeepMounts,
    /// The most bytes that the files of one may hold; 0 is no limit. `None` limits saved ones to 2 GiB and those on
    /// this machine not at all.
    pub limit: Option<u64>,
}

/// Where cache mounts are kept from one build to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepMounts {
    /// Nowhere: they are gone after the build.
    Off,
    /// In the state directory, shared by the builds of this machine.
    Local,
    /// Saved in a place that other machines reach, and restored from there before they are used.
    Saved(CacheLocation),
}

/// A place for cache records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheLocation {
    /// A repository in a registry; each record is a tag.
    Repository(Reference),
    /// An OCI layout directory.
    Directory(PathBuf),
}

/// A place that layers are taken from and not written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheSource {
    /// Records of earlier builds.
    Records(CacheLocation),
    /// An ordinary image, matched by its history.
    Image(Reference),
}

/// Which stages run again whatever the cache holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// None of them.
    #[default]
    Never,
    /// All of them.
    All,
    /// The named ones.
    Stages(Vec<String>),
}

/// Results to publish.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// References to push to.
    pub destinations: Vec<Reference>,
    /// Push at all; without it destinations only name the image in archives.
    pub push: bool,
    /// Push without writing a tag; destinations have none then.
    pub by_digest: bool,
    /// Load the image into the engine of [`crate::Services`].
    pub load: bool,
    /// Archives and directories to write.
    pub files: Vec<FileOutput>,
    /// File or URL that gets the digest alone.
    pub digest_file: Option<String>,
    /// File that gets `repository@digest`, a line per destination.
    pub name_with_digest_file: Option<PathBuf>,
    /// File that gets `repository:tag@digest`, a line per destination.
    pub name_tag_with_digest_file: Option<PathBuf>,
    /// Directory where a JSON line per pushed image is appended to `images`.
    pub builder_output: Option<PathBuf>,
    /// Refusal by an immutable tag counts as success.
    pub ignore_immutable_tags: bool,
    /// Do not try push permission before building.
    pub skip_push_check: bool,
}

/// One result on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOutput {
    /// What is written.
    pub kind: FileOutputKind,
    /// Where; `-` is standard output where the kind allows it.
    pub path: PathBuf,
    /// Names to record in the archive beside the destinations.
    pub names: Vec<String>,
    /// Annotations of the image's entry in the layout's index.
    pub annotations: BTreeMap<String, String>,
    /// Give each platform a directory of its own, for files of the root filesystem; left out, where there are several.
    pub platform_split: Option<bool>,
    /// Remove what is there already, for a directory of files.
    pub fresh: bool,
}

/// Kinds of results on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOutputKind {
    /// An OCI image layout directory.
    OciDirectory,
    /// An OCI image layout in a tar archive.
    OciArchive,
    /// A `docker save` archive.
    DockerArchive,
    /// The files of the root filesystem.
    Local,
    /// The files of the root filesystem in a tar archive.
    Tar,
}

/// Encoding of what is published.
#[derive(Debug, Clone)]
pub struct Format {
    /// Media types of manifest, config and layers; `None` is OCI.
    pub media_types: MediaTypes,
    /// How new layers are compressed.
    pub compression: Compression,
    /// Compress base layers the same way too.
    pub force_compression: bool,
}

/// Families of media types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MediaTypes {
    /// `application/vnd.oci.image.*`.
    #[default]
    Oci,
    /// Docker's schema 2.
    Docker,
    /// The base image's family, as kaniko does; OCI without a base.
    Inherit,
}

/// Times in the result.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// `source-date-epoch` of the exporter, which overrides the build argument. Seconds since 1970.
    pub epoch: Option<i64>,
    /// Times in new layers later than the epoch become the epoch.
    pub rewrite_layers: bool,
    /// Strip all times from history, config and new layers (kaniko's `--reproducible`).
    pub reproducible: bool,
}

/// Whose rules decide where builders differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compat {
    /// BuildKit's.
    #[default]
    Buildkit,
    /// kaniko's owner and VOLUME rules.
    Kaniko,
}

/// How snapshots are taken.
#[derive(Debug, Clone, Default)]
pub struct SnapshotRequest {
    /// The way to find changes.
    pub method: SnapshotMethod,
    /// One layer for everything the build adds.
    pub single: bool,
    /// Paths that are never captured.
    pub ignore_paths: Vec<PathBuf>,
}

/// Ways to find out what a RUN changed; each gives the same layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotMethod {
    /// The cheapest one that works here.
    #[default]
    Auto,
    /// An overlay mount collects the changes.
    Overlay,
    /// A walk over all files compares their status.
    Scan,
}

impl FileOutputKind {
    /// Whether the root filesystem itself is wanted, rather than an image.
    pub fn wants_files(self) -> bool {
        matches!(self, Self::Local | Self::Tar)
    }
}
