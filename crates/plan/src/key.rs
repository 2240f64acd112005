//! Cache keys: one function per plan, one hash per step.
//!
//! A key is a SHA-256 over typed fields, each framed by its tag and length, so no two different lists
//! of fields have the same encoding. Keys form a chain: what a step starts from is the key of the
//! last step before it that made a layer, so instructions that only change the configuration
//! (LABEL, EXPOSE, CMD) never change the keys after them.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest as _, Sha256};
use yadokari_dockerfile::instruction::{Mount, MountKind};
use yadokari_image::Platform;

use crate::model::{
    Base, Copy, ImageKey, Operation, Plan, Run, RunMount, RunNetwork, Source, Stage, StageId,
    Unpack, Workdir,
};

/// Identifies the result of a step: equal keys mean equal layers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// Reads the 64 hexadecimal digits that [`Display`](fmt::Display) writes.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// The digest of the content a step reads, as whoever can read it computes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentKey(pub [u8; 32]);

/// Answers what a step reads from outside the plan.
pub trait Contents {
    /// What a failed answer says.
    type Error;

    /// Digests what this copy selects from the main context, a named one, or the network.
    ///
    /// Not asked for copies from stages and images: those are keyed by the chain they come from.
    fn copied(&self, copy: &Copy) -> Result<ContentKey, Self::Error>;

    /// Digests what this mount shows from a build context.
    fn mounted(&self, mount: &RunMount) -> Result<ContentKey, Self::Error>;

    /// The manifest digest of an image that the plan copies or mounts from.
    fn image(&self, key: &ImageKey) -> Result<ContentKey, Self::Error>;

    /// Digests all files of a named context that a stage starts from.
    fn context(&self, name: &str) -> Result<ContentKey, Self::Error>;
}

/// What all keys of a build have in common: anything that changes layer bytes without being an instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salt {
    /// How layers are encoded, as `gzip`.
    pub encoding: String,
    /// Times later than this are cut, in seconds since 1970.
    pub clamp: Option<i64>,
    /// Rules that differ from the default.
    pub compat: String,
    /// What commands see of the build besides their files: host name, names of added hosts, limits.
    ///
    /// Only RUNs depend on it.
    pub run: Vec<String>,
}

/// The keys of all steps of a plan.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    stages: HashMap<StageId, StageKeys>,
}

#[derive(Debug, Clone)]
struct StageKeys {
    base: Key,
    steps: Vec<Option<Key>>,
    end: Key,
}

impl Keys {
    /// The key of a step's layer; `None` for a step that makes none.
    pub fn step(&self, stage: StageId, step: usize) -> Option<Key> {
        *self.stages.get(&stage)?.steps.get(step)?
    }

    /// The key of what a stage starts from.
    pub fn base(&self, stage: StageId) -> Option<Key> {
        self.stages.get(&stage).map(|keys| keys.base)
    }
}

/// Computes the keys of every step of every stage.
///
/// # Errors
///
/// Whatever `contents` answers when something a step reads cannot be digested.
pub fn keys<C: Contents>(plan: &Plan, salt: &Salt, contents: &C) -> Result<Keys, C::Error> {
    let mut keys = Keys::default();
    for stage in &plan.stages {
        let made = stage_keys(stage, salt, plan.epoch, contents, &keys)?;
        keys.stages.insert(stage.id, made);
    }
    Ok(keys)
}

fn stage_keys<C: Contents>(
    stage: &Stage,
    salt: &Salt,
    epoch: Option<i64>,
    contents: &C,
    done: &Keys,
) -> Result<StageKeys, C::Error> {
    let base = base_key(stage, salt, contents, done)?;
    let mut chain = base;
    let mut steps = Vec::with_capacity(stage.steps.len());
    for step in &stage.steps {
        let key = match &step.operation {
            Operation::Metadata => None,
            Operation::Run(run) => {
                let hasher = Hasher::new("run")
                    .key("chain", chain)
                    .platform(&stage.platform)
                    .list("build", &salt.run);
                Some(run_key(hasher, run, contents, done)?)
            }
            Operation::Copy(copy) => Some(copy_key(chain, copy, salt, contents, done)?),
            Operation::Workdir(workdir) => Some(workdir_key(chain, workdir, epoch)),
        };
        chain = match &step.operation {
            Operation::Copy(copy) if copy.link => stacked(chain, key.unwrap_or(chain)),
            _ => key.unwrap_or(chain),
        };
        steps.push(key);
    }
    Ok(StageKeys {
        base,
        steps,
        end: chain,
    })
}

/// A linked copy's layer does not depend on what is below it; what follows depends on both.
fn stacked(below: Key, layer: Key) -> Key {
    Hasher::new("stacked")
        .key("below", below)
        .key("layer", layer)
        .finish()
}

fn base_key<C: Contents>(
    stage: &Stage,
    salt: &Salt,
    contents: &C,
    done: &Keys,
) -> Result<Key, C::Error> {
    let hasher = salted("base", salt).platform(&stage.platform);
    Ok(match &stage.base {
        Base::Scratch => hasher.text("kind", "scratch").finish(),
        Base::Image(image) => hasher
            .text("kind", "image")
            .bytes("config", image.config.as_bytes())
            .finish(),
        Base::Context(name) => hasher
            .text("kind", "context")
            .content("files", contents.context(name)?)
            .finish(),
        Base::Stage(parent) => end_of(done, *parent),
    })
}

fn end_of(done: &Keys, stage: StageId) -> Key {
    done.stages
        .get(&stage)
        .expect("a plan lists stages before those that read them")
        .end
}

fn salted(tag: &str, salt: &Salt) -> Hasher {
    let hasher = Hasher::new(tag)
        .text("encoding", &salt.encoding)
        .text("compat", &salt.compat);
    match salt.clamp {
        Some(clamp) => hasher.number("clamp", clamp.cast_unsigned()),
        None => hasher,
    }
}

fn run_key<C: Contents>(
    mut hasher: Hasher,
    run: &Run,
    contents: &C,
    done: &Keys,
) -> Result<Key, C::Error> {
    hasher = hasher.list("argv", &run.argv);
    for (name, value) in &run.env {
        hasher = hasher.text("env", name).text("value", value);
    }
    hasher = hasher
        .text("cwd", &run.cwd)
        .text("user", &run.user)
        .text("network", network_name(run.network))
        .number("insecure", u64::from(run.insecure));
    if !run.volumes.is_empty() {
        hasher = hasher.list("volumes", &run.volumes);
    }
    if let Some((name, text)) = &run.script {
        hasher = hasher.text("script", name).bytes("text", text);
    }
    for mount in &run.mounts {
        hasher = mount_key(hasher, mount, contents, done)?;
    }
    Ok(hasher.finish())
}

fn network_name(network: RunNetwork) -> &'static str {
    match network {
        RunNetwork::Default => "default",
        RunNetwork::Host => "host",
        RunNetwork::None => "none",
    }
}

/// Adds what a mount can change in the result: kind, target, rights and what a bind shows.
///
/// The contents of secrets, agents and caches are none of it, nor is what a cache is called. Files of
/// a build context count by their content, wherever in it they are.
fn mount_key<C: Contents>(
    hasher: Hasher,
    mount: &RunMount,
    contents: &C,
    done: &Keys,
) -> Result<Hasher, C::Error> {
    let hasher = mount_rights(hasher, &mount.mount)
        .text("target", mount.target.as_deref().unwrap_or_default())
        .text("variable", mount.mount.env.as_deref().unwrap_or_default());
    let path = mount.mount.source.as_deref().unwrap_or_default();
    Ok(match &mount.from {
        None => hasher,
        Some(Source::Context | Source::Named(_)) => {
            hasher.content("content", contents.mounted(mount)?)
        }
        Some(Source::Stage(stage)) => hasher.text("from", path).key("stage", end_of(done, *stage)),
        Some(Source::Image(image)) => hasher
            .text("from", path)
            .content("image", contents.image(image)?),
        Some(Source::Scratch) => hasher.text("from", path).text("empty", ""),
    })
}

/// Adds the kind of a mount and who may do what with it, which a command may see.
fn mount_rights(mut hasher: Hasher, mount: &Mount) -> Hasher {
    hasher = hasher
        .text("mount", mount.kind.name())
        .number("read only", u64::from(mount.read_only));
    let ids = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
    for (tag, number) in ids
        .into_iter()
        .filter_map(|(tag, number)| Some((tag, number?)))
    {
        hasher = hasher.number(tag, u64::from(number));
    }
    if let Some(size) = mount.size {
        hasher = hasher.number("size", size.cast_unsigned());
    }
    match (mount.kind, &mount.id) {
        (MountKind::Secret | MountKind::Ssh, Some(id)) => hasher.text("id", id),
        _ => hasher,
    }
}

fn copy_key<C: Contents>(
    chain: Key,
    copy: &Copy,
    salt: &Salt,
    contents: &C,
    done: &Keys,
) -> Result<Key, C::Error> {
    let mut hasher = if copy.link {
        salted("link", salt)
    } else {
        Hasher::new("copy").key("chain", chain)
    };
    hasher = hasher
        .text("destination", &copy.destination)
        .number("parents", u64::from(copy.parents))
        .number("add", u64::from(copy.is_add))
        .text("unpack", unpack_name(copy.unpack));
    if let Some(chown) = &copy.chown {
        hasher = hasher.text("chown", chown);
    }
    if let Some(chmod) = &copy.chmod {
        hasher = hasher.text("chmod", &chmod.text);
    }
    if let Some((words, _)) = &copy.exclude {
        hasher = hasher.list("exclude", words);
    }
    for document in &copy.documents {
        hasher = hasher
            .text("document", &document.name)
            .bytes("content", &document.content);
    }
    Ok(match &copy.from {
        Source::Context | Source::Named(_) => hasher.content("sources", contents.copied(copy)?),
        Source::Stage(stage) => hasher
            .list("paths", &copy.sources)
            .key("stage", end_of(done, *stage)),
        Source::Image(image) => hasher
            .list("paths", &copy.sources)
            .content("image", contents.image(image)?),
        Source::Scratch => hasher.list("paths", &copy.sources),
    }
    .finish())
}

fn unpack_name(unpack: Unpack) -> &'static str {
    match unpack {
        Unpack::Never => "never",
        Unpack::Local => "local",
        Unpack::Always => "always",
    }
}

fn workdir_key(chain: Key, workdir: &Workdir, epoch: Option<i64>) -> Key {
    let hasher = Hasher::new("workdir")
        .key("chain", chain)
        .text("path", &workdir.path)
        .text("user", &workdir.user);
    match epoch {
        Some(epoch) => hasher.number("epoch", epoch.cast_unsigned()),
        None => hasher,
    }
    .finish()
}

/// Hashes typed fields, each as tag, length and bytes.
struct Hasher(Sha256);

impl Hasher {
    fn new(operation: &str) -> Self {
        // The version: raised when the meaning of any field changes, so that old records miss.
        Self(Sha256::new())
            .text("yadokari key", "1")
            .text("operation", operation)
    }

    fn bytes(mut self, tag: &str, bytes: &[u8]) -> Self {
        for part in [tag.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    fn text(self, tag: &str, text: &str) -> Self {
        self.bytes(tag, text.as_bytes())
    }

    fn number(self, tag: &str, number: u64) -> Self {
        self.bytes(tag, &number.to_le_bytes())
    }

    fn key(self, tag: &str, key: Key) -> Self {
        self.bytes(tag, &key.0)
    }

    fn content(self, tag: &str, content: ContentKey) -> Self {
        self.bytes(tag, &content.0)
    }

    fn list(mut self, tag: &str, items: &[String]) -> Self {
        self = self.number(tag, items.len() as u64);
        for item in items {
            self = self.text("item", item);
        }
        self
    }

    fn platform(self, platform: &Platform) -> Self {
        self.text("platform", &platform.to_string())
    }

    fn finish(self) -> Key {
        Key(self.0.finalize().into())
    }
}
