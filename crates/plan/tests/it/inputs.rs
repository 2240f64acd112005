//! What a step reads, as a test says so in place of real files.

use std::collections::BTreeMap;
use std::convert::Infallible;

use yadokari_image::Digest;
use yadokari_plan::{
    ContentKey, Contents, Copy, ImageKey, ImageSource, Key, Keys, Plan, RunMount, Salt, keys,
};

use crate::case::Case;

/// A context of flat files: content by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    files: BTreeMap<String, String>,
    images: BTreeMap<String, String>,
}

impl Inputs {
    /// The file has this content.
    pub(crate) fn file(mut self, name: &str, content: &str) -> Self {
        self.files.insert(name.to_owned(), content.to_owned());
        self
    }

    /// The image is another one than it usually is.
    pub(crate) fn image(mut self, name: &str, content: &str) -> Self {
        self.images.insert(name.to_owned(), content.to_owned());
        self
    }

    fn content(&self, name: &str) -> String {
        self.files
            .get(name)
            .cloned()
            .unwrap_or_else(|| format!("of {name}"))
    }
}

fn digest(parts: &[String]) -> ContentKey {
    // Debug quotes, so that no two lists give the same text.
    ContentKey(*Digest::of(format!("{parts:?}").as_bytes()).as_bytes())
}

impl Contents for Inputs {
    type Error = Infallible;

    fn copied(&self, copy: &Copy) -> Result<ContentKey, Infallible> {
        let local = copy.sources.iter().flat_map(|path| {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            [name, self.content(path)]
        });
        let remote = copy.remotes.iter().flat_map(|remote| {
            [
                remote.url.clone(),
                self.content(&remote.url),
                remote.checksum.clone().unwrap_or_default(),
                format!("{:?}", remote.keep_git_dir),
            ]
        });
        Ok(digest(&local.chain(remote).collect::<Vec<_>>()))
    }

    fn mounted(&self, mount: &RunMount) -> Result<ContentKey, Infallible> {
        Ok(digest(&[
            self.content(mount.mount.source.as_deref().unwrap_or("/"))
        ]))
    }

    fn image(&self, key: &ImageKey) -> Result<ContentKey, Infallible> {
        let name = match &key.source {
            ImageSource::Registry(reference) => reference.familiar(),
            ImageSource::Layout(path) => path.clone(),
        };
        let content = self.images.get(&name).cloned().unwrap_or_default();
        Ok(digest(&[name, content, key.platform.to_string()]))
    }

    fn context(&self, name: &str) -> Result<ContentKey, Infallible> {
        Ok(digest(&[name.to_owned()]))
    }
}

pub(crate) fn keys_of(plan: &Plan, salt: &Salt, inputs: &Inputs) -> Keys {
    match keys(plan, salt, inputs) {
        Ok(keys) => keys,
        Err(never) => match never {},
    }
}

/// The keys of the target's layers, in order.
pub(crate) fn layer_keys(case: &Case, salt: &Salt, inputs: &Inputs) -> Vec<Key> {
    let plan = case.plan();
    let keys = keys_of(&plan, salt, inputs);
    let stage = plan.target_stage();
    (0..stage.steps.len())
        .filter_map(|step| keys.step(stage.id, step))
        .collect()
}

/// The key of the target's last layer.
pub(crate) fn last_key(case: &Case) -> Key {
    last_key_with(case, &Inputs::default())
}

pub(crate) fn last_key_with(case: &Case, inputs: &Inputs) -> Key {
    layer_keys(case, &Salt::default(), inputs)
        .pop()
        .expect("a layer")
}

/// The key of the last layer of a Dockerfile.
pub(crate) fn key(dockerfile: &str) -> Key {
    last_key(&Case::new(dockerfile))
}
