//! One image of several: what its build is given.

use std::collections::BTreeMap;

use super::error::{BakeError, Place};
use super::node::Node;

/// One target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Directory or URL of the build context; relative to the working directory.
    pub context: String,
    /// Where that stands, for messages.
    pub context_in: Option<Place>,
    /// The Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// A Dockerfile that stands in the description.
    pub inline: Option<String>,
    /// Where that Dockerfile stands, for messages: `compose.yaml (service web)`.
    pub inline_in: String,
    /// Build arguments; those without a value come from the environment.
    pub args: BTreeMap<String, Option<String>>,
    /// Stage to build.
    pub target: Option<String>,
    /// Names of the image.
    pub tags: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations, as the command line takes them.
    pub annotations: Vec<String>,
    /// Platforms to build for.
    pub platforms: Vec<String>,
    /// Where cached layers are looked up.
    pub cache_from: Vec<String>,
    /// Where layers are recorded.
    pub cache_to: Vec<String>,
    /// Results.
    pub output: Vec<String>,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Agents and keys, as `--ssh` takes them.
    pub ssh: Vec<String>,
    /// Named contexts; `target:NAME` is another target's image.
    pub contexts: BTreeMap<String, String>,
    /// Network of RUN.
    pub network: Option<String>,
    /// Further hosts, as `--add-host` takes them.
    pub extra_hosts: Vec<String>,
    /// Limits of processes, as `--ulimit` takes them.
    pub ulimits: Vec<String>,
    /// Rights, as `--allow` takes them.
    pub allow: Vec<String>,
    /// Size of /dev/shm.
    pub shm_size: Option<String>,
    /// Run every step.
    pub no_cache: Option<bool>,
    /// Run every step of these stages.
    pub no_cache_filter: Vec<String>,
    /// Look for newer base images, which happens anyway.
    pub pull: Option<bool>,
    /// Only built when asked for by name or by one of these.
    pub profiles: Vec<String>,
}

/// A secret of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its id in RUN.
    pub id: String,
    /// File that holds it.
    pub src: Option<String>,
    /// Variable that holds it.
    pub env: Option<String>,
}

impl Secret {
    /// As `--secret` takes it.
    pub fn spec(&self) -> String {
        let mut spec = format!("id={}", self.id);
        for (key, value) in [("src", &self.src), ("env", &self.env)] {
            if let Some(value) = value {
                spec.push_str(&format!(",{}", field(&format!("{key}={value}"))));
            }
        }
        spec
    }
}

/// A field of a comma-separated line, in quotes where it has to be.
pub(super) fn field(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl Target {
    /// Other targets whose images it reads.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.contexts
            .values()
            .filter_map(|value| value.strip_prefix("target:"))
    }

    /// Takes a Dockerfile that stands in a description; `kind` is what targets are called there.
    pub(super) fn set_inline(&mut self, node: &Node<'_>, kind: &str) -> Result<(), BakeError> {
        let name = node.path.get(1).map_or("", String::as_str);
        self.inline = Some(node.text()?);
        self.inline_in = format!("{} ({kind} {name})", node.file.name.display());
        Ok(())
    }

    /// What makes two targets share stages: the same files.
    pub fn recipe(&self) -> (&str, Option<&str>, Option<&str>) {
        (
            &self.context,
            self.dockerfile.as_deref(),
            self.inline.as_deref(),
        )
    }
}
