//! What the keys of builds were made from, as it is kept.

use serde::{Deserialize, Serialize};

/// What several builds were made from, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trails {
    /// The builds, no two of one [`Origin`].
    pub builds: Vec<Trail>,
}

/// What a build is told apart by from others that share a cache: services of one project, variants of one image.
///
/// Nothing in it is readable, and no value of an argument goes into it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A digest over the names of its Dockerfile, context, targets and arguments.
    pub inputs: String,
    /// A digest over the repositories it is pushed to; empty where it is pushed nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outputs: String,
}

impl Origin {
    /// Whether builds of these origins are one build done again, as far as is known: a plan says nothing of outputs.
    pub fn is_same(&self, other: &Self) -> bool {
        let unknown = self.outputs.is_empty() || other.outputs.is_empty();
        self.inputs == other.inputs && (unknown || self.outputs == other.outputs)
    }
}

/// What one build was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// When it was made, RFC 3339.
    pub made: String,
    /// Which of the builds that share the cache it was.
    pub origin: Origin,
    /// Its stages, in the order of the file.
    pub stages: Vec<TrailStage>,
}

/// A stage of a [`Trail`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailStage {
    /// Its name.
    pub name: String,
    /// What it starts from, as the Dockerfile says.
    pub base: String,
    /// What identifies that: the digest of a base image's configuration.
    pub base_digest: String,
    /// What all its steps share: platform, settings.
    pub facts: Vec<Fact>,
    /// Its steps that make layers.
    pub steps: Vec<TrailStep>,
}

/// A step of a [`Trail`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailStep {
    /// The instruction on one line.
    pub title: String,
    /// Its key.
    pub key: String,
    /// What else it depends on.
    pub facts: Vec<Fact>,
    /// The files of build contexts that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileFact>,
}

/// One thing that a key depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is, as `variable VERSION`.
    pub name: String,
    /// Its value; `#` and digits for what is only known by digest. `None` for what looks like a secret, of which
    /// nothing is kept, not even a digest.
    pub value: Option<String>,
}

/// A file that a key depends on, or all files below a directory where there are many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// Its path in the context.
    pub path: String,
    /// A digest of its content and metadata.
    pub digest: String,
}
