//! Cache keys: one function per plan, one hash per step.
//!
//! A key is a SHA-256 over typed fields, each framed by its tag and length, so no two different lists
//! of fields have the same encoding. Keys form a chain: what a step starts from is the key of the
//! last step before it that made a layer, so instructions that only change the configuration
//! (LABEL, EXPOSE, CMD) never change the keys after them.

use std::collections::HashMap;
use std::fmt;

use yadokari_dockerfile::instruction::{Mount, MountKind};
use yadokari_image::DiffId;

use crate::ingredient::{Ingredient, Ingredients, Taking};
use crate::model::{
    Base, Copy, ImageKey, Operation, Plan, Run, RunMount, RunNetwork, Source, Stage, StageId, Step,
    Unpack, Workdir,
};

/// Identifies the result of a step: equal keys mean equal layers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(crate) [u8; 32]);

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

/// The keys of all steps of a plan, with what they are made of.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    stages: HashMap<StageId, StageKeys>,
}

#[derive(Debug, Clone)]
struct StageKeys {
    base: Key,
    steps: Vec<Option<Ingredients>>,
    keys: Vec<Option<Key>>,
    end: Key,
}

impl Keys {
    /// The key of a step's layer; `None` for a step that makes none.
    pub fn step(&self, stage: StageId, step: usize) -> Option<Key> {
        *self.stages.get(&stage)?.keys.get(step)?
    }

    /// The key of what a stage starts from.
    pub fn base(&self, stage: StageId) -> Option<Key> {
        self.stages.get(&stage).map(|keys| keys.base)
    }

    /// The key of all that a stage ends with.
    pub fn end(&self, stage: StageId) -> Option<Key> {
        self.stages.get(&stage).map(|keys| keys.end)
    }

    /// What a step's key is made of; nothing for a step that makes no layer.
    pub fn ingredients(&self, stage: StageId, step: usize) -> &[Ingredient] {
        self.made_of(stage, step)
            .map_or(&[], |ingredients| &ingredients.0)
    }

    /// What a step takes from other stages and images.
    pub fn takings(&self, stage: StageId, step: usize) -> impl Iterator<Item = &Taking> {
        self.ingredients(stage, step)
            .iter()
            .filter_map(|ingredient| match ingredient {
                Ingredient::Taking(taking) => Some(taking),
                _ => None,
            })
    }

    /// The key that a step has on top of `below`, where what it takes from other trees is known by content.
    ///
    /// What `content` does not know is taken as it was planned. Two builds whose sources were made in different
    /// ways, with the same files in the end, agree on this key and not on the planned one.
    pub fn restated(
        &self,
        stage: StageId,
        step: usize,
        below: Key,
        content: &dyn Fn(&Taking) -> Option<ContentKey>,
    ) -> Option<Key> {
        let restate = |ingredient: &Ingredient| match ingredient {
            Ingredient::Below(_) => Ingredient::Below(below),
            Ingredient::Taking(taking) => match content(taking) {
                Some(content) => Ingredient::Content("taken content", content),
                None => ingredient.clone(),
            },
            other => other.clone(),
        };
        let planned = self.made_of(stage, step)?;
        Some(Ingredients(planned.0.iter().map(restate).collect()).key())
    }

    fn made_of(&self, stage: StageId, step: usize) -> Option<&Ingredients> {
        self.stages.get(&stage)?.steps.get(step)?.as_ref()
    }
}

/// The key of all up to a step, from the key of all below it and the step's own.
pub fn chained(step: &Step, below: Key, key: Key) -> Key {
    match &step.operation {
        // The layer of a linked copy does not depend on what is below it; what follows depends on both.
        Operation::Copy(copy) if copy.link => Ingredients::new("stacked")
            .below(below)
            .content("layer", ContentKey(key.0))
            .key(),
        _ => key,
    }
}

/// The key of a list of the files that these layers hold.
pub fn key_of_listing(layers: &[DiffId]) -> Key {
    let layers: Vec<_> = layers.iter().map(ToString::to_string).collect();
    Ingredients::new("listing").list("layers", &layers).key()
}

/// Computes the keys of every step of every stage.
///
/// # Errors
///
/// Whatever `contents` answers when something a step reads cannot be digested.
pub fn keys<C: Contents>(plan: &Plan, salt: &Salt, contents: &C) -> Result<Keys, C::Error> {
    let mut done = Keys::default();
    for stage in &plan.stages {
        let maker = Maker {
            stage,
            salt,
            epoch: plan.epoch,
            contents,
            done: &done,
        };
        let made = maker.stage()?;
        done.stages.insert(stage.id, made);
    }
    Ok(done)
}

/// Makes the keys of one stage.
struct Maker<'a, C> {
    stage: &'a Stage,
    salt: &'a Salt,
    epoch: Option<i64>,
    contents: &'a C,
    done: &'a Keys,
}

impl<C: Contents> Maker<'_, C> {
    fn stage(&self) -> Result<StageKeys, C::Error> {
        let base = self.base()?;
        let mut chain = base;
        let (mut steps, mut keys) = (Vec::new(), Vec::new());
        for step in &self.stage.steps {
            let made_of = self.step(chain, step)?;
            let key = made_of.as_ref().map(Ingredients::key);
            chain = key.map_or(chain, |key| chained(step, chain, key));
            steps.push(made_of);
            keys.push(key);
        }
        Ok(StageKeys {
            base,
            steps,
            keys,
            end: chain,
        })
    }

    fn base(&self) -> Result<Key, C::Error> {
        let start = salted("base", self.salt).platform(&self.stage.platform);
        Ok(match &self.stage.base {
            Base::Scratch => start.text("kind", "scratch").key(),
            Base::Image(image) => start
                .text("kind", "image")
                .content("base image", ContentKey(*image.config.as_bytes()))
                .key(),
            Base::Context(name) => start
                .text("kind", "context")
                .content("files", self.contents.context(name)?)
                .key(),
            Base::Stage(parent) => self.end_of(*parent),
        })
    }

    fn end_of(&self, stage: StageId) -> Key {
        self.done
            .end(stage)
            .expect("a plan lists stages before those that read them")
    }

    fn step(&self, chain: Key, step: &Step) -> Result<Option<Ingredients>, C::Error> {
        Ok(match &step.operation {
            Operation::Metadata => None,
            Operation::Run(run) => Some(self.run(chain, run)?),
            Operation::Copy(copy) => Some(self.copy(chain, copy)?),
            Operation::Workdir(workdir) => Some(self.workdir(chain, workdir)),
        })
    }

    fn run(&self, chain: Key, run: &Run) -> Result<Ingredients, C::Error> {
        let mut made_of = Ingredients::new("run")
            .below(chain)
            .platform(&self.stage.platform)
            .list("settings of the build", &self.salt.run)
            .list("command", &run.argv);
        for (name, value) in &run.env {
            made_of = made_of.with(Ingredient::Variable {
                name: name.clone(),
                value: value.clone(),
            });
        }
        made_of = made_of
            .text("working directory", &run.cwd)
            .text("user", &run.user)
            .text("network", network_name(run.network))
            .number("insecure", u64::from(run.insecure));
        if !run.volumes.is_empty() {
            made_of = made_of.list("volumes", &run.volumes);
        }
        if let Some((name, text)) = &run.script {
            made_of = made_of
                .text("script", name)
                .bytes("text of the script", text);
        }
        for (index, mount) in run.mounts.iter().enumerate() {
            made_of = self.mount(made_of, index, mount)?;
        }
        Ok(made_of)
    }

    /// Adds what a mount can change in the result: kind, target, rights and what a bind shows.
    ///
    /// The contents of secrets, agents and caches are none of it, nor is what a cache is called. Files of
    /// a build context count by their content, wherever in it they are.
    fn mount(
        &self,
        made_of: Ingredients,
        index: usize,
        mount: &RunMount,
    ) -> Result<Ingredients, C::Error> {
        let made_of = mount_rights(made_of, &mount.mount)
            .text("mount target", mount.target.as_deref().unwrap_or_default())
            .text(
                "mount variable",
                mount.mount.env.as_deref().unwrap_or_default(),
            );
        let paths = || vec![mount.mount.source.clone().unwrap_or_default()];
        Ok(match &mount.from {
            None => made_of,
            Some(Source::Context | Source::Named(_)) => {
                made_of.content("mounted files", self.contents.mounted(mount)?)
            }
            Some(Source::Stage(stage)) => {
                made_of.with(self.taking_of_stage(index, *stage, paths()))
            }
            Some(Source::Image(image)) => {
                made_of.with(self.taking_of_image(index, image, paths())?)
            }
            Some(Source::Scratch) => made_of.list("mounted of nothing", &paths()),
        })
    }

    fn copy(&self, chain: Key, copy: &Copy) -> Result<Ingredients, C::Error> {
        let mut made_of = if copy.link {
            salted("link", self.salt)
        } else {
            Ingredients::new("copy").below(chain)
        };
        made_of = made_of
            .text("destination", &copy.destination)
            .number("parents", u64::from(copy.parents))
            .number("add", u64::from(copy.is_add))
            .text("unpack", unpack_name(copy.unpack));
        if let Some(chown) = &copy.chown {
            made_of = made_of.text("chown", chown);
        }
        if let Some(chmod) = &copy.chmod {
            made_of = made_of.text("chmod", &chmod.text);
        }
        if let Some((words, _)) = &copy.exclude {
            made_of = made_of.list("exclude", words);
        }
        for document in &copy.documents {
            made_of = made_of
                .text("document", &document.name)
                .bytes("text of the document", &document.content);
        }
        self.sources(made_of, copy)
    }

    fn sources(&self, made_of: Ingredients, copy: &Copy) -> Result<Ingredients, C::Error> {
        let paths = || copy.sources.clone();
        Ok(match &copy.from {
            Source::Context | Source::Named(_) => {
                made_of.content("files", self.contents.copied(copy)?)
            }
            Source::Stage(stage) => made_of.with(self.taking_of_stage(0, *stage, paths())),
            Source::Image(image) => made_of.with(self.taking_of_image(0, image, paths())?),
            Source::Scratch => made_of.list("copied of nothing", &copy.sources),
        })
    }

    fn taking_of_stage(&self, index: usize, stage: StageId, paths: Vec<String>) -> Ingredient {
        Ingredient::Taking(Taking {
            index,
            stage: Some(stage),
            paths,
            tree: self.end_of(stage),
        })
    }

    fn taking_of_image(
        &self,
        index: usize,
        image: &ImageKey,
        paths: Vec<String>,
    ) -> Result<Ingredient, C::Error> {
        let ContentKey(digest) = self.contents.image(image)?;
        let tree = Ingredients::new("image").content("manifest", ContentKey(digest));
        Ok(Ingredient::Taking(Taking {
            index,
            stage: None,
            paths,
            tree: tree.key(),
        }))
    }

    fn workdir(&self, chain: Key, workdir: &Workdir) -> Ingredients {
        let made_of = Ingredients::new("workdir")
            .below(chain)
            .text("path", &workdir.path)
            .text("user", &workdir.user);
        match self.epoch {
            Some(epoch) => made_of.number("epoch", epoch.cast_unsigned()),
            None => made_of,
        }
    }
}

fn salted(operation: &str, salt: &Salt) -> Ingredients {
    let made_of = Ingredients::new(operation)
        .text("encoding", &salt.encoding)
        .text("compat", &salt.compat);
    match salt.clamp {
        Some(clamp) => made_of.number("latest time", clamp.cast_unsigned()),
        None => made_of,
    }
}

fn network_name(network: RunNetwork) -> &'static str {
    match network {
        RunNetwork::Default => "default",
        RunNetwork::Host => "host",
        RunNetwork::None => "none",
    }
}

/// Adds the kind of a mount and who may do what with it, which a command may see.
fn mount_rights(mut made_of: Ingredients, mount: &Mount) -> Ingredients {
    made_of = made_of
        .text("mount", mount.kind.name())
        .number("read only", u64::from(mount.read_only));
    let ids = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
    for (tag, number) in ids
        .into_iter()
        .filter_map(|(tag, number)| Some((tag, number?)))
    {
        made_of = made_of.number(tag, u64::from(number));
    }
    if let Some(size) = mount.size {
        made_of = made_of.number("size", size.cast_unsigned());
    }
    match (mount.kind, &mount.id) {
        (MountKind::Secret | MountKind::Ssh, Some(id)) => made_of.text("id", id),
        _ => made_of,
    }
}

fn unpack_name(unpack: Unpack) -> &'static str {
    match unpack {
        Unpack::Never => "never",
        Unpack::Local => "local",
        Unpack::Always => "always",
    }
}
