//! What the keys of a build were made from, kept for the next build to say why it misses.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use yadokari_image::media_type::{self, Family};
use yadokari_image::{
    ContainerConfig, Descriptor, DiffId, Digest, ImageConfig, Manifest, Platform, RootFs, json,
};

use crate::CacheError;
use crate::record::Documents;

/// What one build was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// When it was made, RFC 3339.
    pub made: String,
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

/// Says what is different about a step since the last build; nothing if all that is known is the same.
///
/// `before` is what the last build knew of it. Where only what is below the step differs, that is for the caller to
/// see: it knows which of the steps before this one miss.
pub fn why(now: &TrailStep, before: &TrailStep) -> Vec<String> {
    let mut reasons = Vec::new();
    if now.title != before.title {
        reasons.push(format!("the instruction was `{}`", before.title));
    }
    reasons.extend(changed_files(&now.files, &before.files));
    reasons.extend(changed_facts(
        &now.facts,
        &before.facts,
        &["files", COMMAND],
    ));
    if reasons.is_empty() {
        // Files are named where they are known, and only said to differ where they are not.
        reasons.extend(changed_facts(&now.facts, &before.facts, &[]));
    }
    let hidden = now.facts.iter().filter(|fact| fact.value.is_none());
    let hidden: Vec<_> = hidden.map(|fact| fact.name.as_str()).collect();
    if reasons.is_empty() && now.key != before.key && !hidden.is_empty() {
        reasons.push(format!(
            "a hidden value may have changed: {}",
            hidden.join(", ")
        ));
    }
    reasons
}

/// What a command line is called among facts: its change shows in the instruction already.
const COMMAND: &str = "command";

/// Says which facts differ.
pub fn changed(now: &[Fact], before: &[Fact]) -> Vec<String> {
    changed_facts(now, before, &[])
}

/// Differences of facts with other names than these. Of values that are digests only the fact is told.
fn changed_facts(now: &[Fact], before: &[Fact], but: &[&str]) -> Vec<String> {
    let old: BTreeMap<_, _> = before
        .iter()
        .map(|fact| (&fact.name, &fact.value))
        .collect();
    let new: BTreeMap<_, _> = now.iter().map(|fact| (&fact.name, &fact.value)).collect();
    let is_told = |name: &String| !but.contains(&name.as_str());
    let mut reasons = Vec::new();
    for (name, value) in new.iter().filter(|(name, _)| is_told(name)) {
        match (old.get(name), value) {
            (None, Some(value)) => reasons.push(format!("{name} is new: {value}")),
            (None, None) => reasons.push(format!("{name} is new (value hidden)")),
            (Some(Some(old)), Some(value)) if old != value && value.starts_with('#') => {
                reasons.push(format!("{name} changed"));
            }
            (Some(Some(old)), Some(value)) if old != value => {
                reasons.push(format!("{name} was {old}, is {value}"));
            }
            _ => {}
        }
    }
    let gone = old
        .keys()
        .filter(|name| is_told(name) && !new.contains_key(*name));
    reasons.extend(gone.map(|name| format!("{name} is gone")));
    if reasons.is_empty() && new.len() == old.len() && is_reordered(now, before) {
        reasons.push("the same values are in another order".to_owned());
    }
    reasons
}

fn is_reordered(now: &[Fact], before: &[Fact]) -> bool {
    let names = |facts: &[Fact]| {
        facts
            .iter()
            .map(|fact| fact.name.clone())
            .collect::<Vec<_>>()
    };
    names(now) != names(before)
}

fn changed_files(now: &[FileFact], before: &[FileFact]) -> Vec<String> {
    let old: BTreeMap<_, _> = before
        .iter()
        .map(|file| (&file.path, &file.digest))
        .collect();
    let new: BTreeMap<_, _> = now.iter().map(|file| (&file.path, &file.digest)).collect();
    let mut reasons = Vec::new();
    for (path, digest) in &new {
        match old.get(path) {
            None => reasons.push(format!("{path} is new")),
            Some(other) if other != digest => reasons.push(format!("{path} changed")),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|path| !new.contains_key(*path));
    reasons.extend(gone.map(|path| format!("{path} is gone")));
    let more = reasons.len().saturating_sub(MOST_FILES);
    if more > 0 {
        reasons.truncate(MOST_FILES);
        reasons.push(format!("and {more} more files"));
    }
    reasons
}

/// How many files are named.
const MOST_FILES: usize = 5;

/// A trail as an ordinary image: a label holds it, so that any registry takes it.
pub(crate) struct TrailImage {
    pub(crate) documents: Documents,
    pub(crate) layer: Vec<u8>,
    pub(crate) layer_descriptor: Descriptor,
}

/// When a trail was left.
pub(crate) const CREATED: &str = "org.opencontainers.image.created";

const LABEL: &str = "dev.yadokari.cache.trail";

/// The largest configuration that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

pub(crate) fn image(trail: &Trail) -> TrailImage {
    // An archive without entries: some registries want a layer in every image.
    let layer = vec![0; 1024];
    let layer_descriptor = Descriptor::of(media_type::OCI_LAYER, &layer);
    let text = String::from_utf8(json::compact(trail)).expect("JSON is text");
    let platform = Platform::new("linux", "amd64");
    let config = ImageConfig {
        created: Some(trail.made.clone()),
        config: ContainerConfig {
            labels: BTreeMap::from([(LABEL.to_owned(), text)]),
            ..ContainerConfig::default()
        },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: Some(vec![DiffId::from_digest(Digest::of(&layer))]),
        },
        ..ImageConfig::new(&platform)
    };
    let config = json::compact(&config);
    let config_descriptor = Descriptor::of(Family::Oci.config(), &config);
    let mut manifest = Manifest::new(
        Family::Oci,
        config_descriptor.clone(),
        vec![layer_descriptor.clone()],
    );
    manifest.annotations = Some(BTreeMap::from([(CREATED.to_owned(), trail.made.clone())]));
    TrailImage {
        documents: Documents {
            manifest: json::indented(&manifest),
            config,
            config_descriptor,
            media_type: Family::Oci.manifest(),
        },
        layer,
        layer_descriptor,
    }
}

pub(crate) fn read(config: &[u8]) -> Result<Trail, CacheError> {
    let wrong = |reason: String| CacheError::NoTrail { reason };
    let config = ImageConfig::parse(config).map_err(|error| wrong(error.to_string()))?;
    let text = config
        .config
        .labels
        .get(LABEL)
        .ok_or_else(|| wrong(format!("it has no label {LABEL}")))?;
    serde_json::from_str(text).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str, value: &str) -> Fact {
        Fact {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }
    }

    fn step(facts: Vec<Fact>, files: &[(&str, &str)]) -> TrailStep {
        let file = |(path, digest): &(&str, &str)| FileFact {
            path: (*path).to_owned(),
            digest: (*digest).to_owned(),
        };
        let mut step = TrailStep {
            title: "RUN make".to_owned(),
            facts,
            files: files.iter().map(file).collect(),
            ..TrailStep::default()
        };
        step.key = format!("{step:?}");
        step
    }

    #[test]
    fn variables_and_files_that_differ_are_named() {
        let before = step(
            vec![
                fact("variable A", "1"),
                fact("variable B", "1"),
                fact("files", "x"),
            ],
            &[("src/a", "1"), ("src/b", "1")],
        );
        let now = step(
            vec![
                fact("variable A", "2"),
                fact("variable C", "1"),
                fact("files", "y"),
            ],
            &[("src/a", "2"), ("src/c", "1")],
        );
        assert_eq!(
            why(&now, &before),
            [
                "src/a changed",
                "src/c is new",
                "src/b is gone",
                "variable A was 1, is 2",
                "variable C is new: 1",
                "variable B is gone"
            ]
        );
        assert_eq!(why(&now, &now), [""; 0]);
    }

    #[test]
    fn files_nobody_listed_are_said_to_differ() {
        let (before, now) = (
            step(vec![fact("files", "#x")], &[]),
            step(vec![fact("files", "#y")], &[]),
        );
        assert_eq!(why(&now, &before), ["files changed"]);
    }

    #[test]
    fn a_hidden_value_is_suspected_when_nothing_else_differs() {
        let secret = |key: &str| TrailStep {
            key: key.to_owned(),
            facts: vec![Fact {
                name: "variable NPM_TOKEN".to_owned(),
                value: None,
            }],
            ..TrailStep::default()
        };
        assert_eq!(
            why(&secret("1"), &secret("2")),
            ["a hidden value may have changed: variable NPM_TOKEN"]
        );
        assert_eq!(why(&secret("1"), &secret("1")), [""; 0]);
    }

    #[test]
    fn an_order_that_changed_is_told() {
        let order = |names: [&str; 2]| step(names.map(|name| fact(name, "1")).to_vec(), &[]);
        assert_eq!(
            why(
                &order(["variable B", "variable A"]),
                &order(["variable A", "variable B"])
            ),
            ["the same values are in another order"]
        );
    }

    #[test]
    fn many_files_are_counted() {
        let paths: Vec<String> = (0..9).map(|number| format!("f{number}")).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "1")).collect();
        let reasons = why(&step(Vec::new(), &files), &step(Vec::new(), &[]));
        assert_eq!(reasons.len(), 6);
        assert_eq!(reasons[5], "and 4 more files");
    }

    #[test]
    fn a_trail_survives_its_image() {
        let trail = Trail {
            made: "2020-01-02T03:04:05Z".to_owned(),
            stages: vec![TrailStage {
                name: "build".to_owned(),
                steps: vec![step(vec![fact("a", "b \"c\"")], &[("x", "y")])],
                ..TrailStage::default()
            }],
        };
        assert_eq!(read(&image(&trail).documents.config).unwrap(), trail);
        assert!(read(b"{}").is_err());
    }
}
