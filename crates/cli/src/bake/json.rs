//! Bake files: targets, groups and variables, as JSON has them and as HCL comes to.

use std::collections::BTreeMap;

use super::compose::{secret_specs, specs};
use super::error::BakeError;
use super::extends::Lists;
use super::file::File;
use super::interpolate;
use super::node::Node;
use super::read::Surroundings;
use super::select::Bake;
use super::target::Target;

/// Adds what a file says to what earlier ones said.
pub(super) fn add(
    file: &mut File,
    surroundings: &Surroundings,
    bake: &mut Bake,
) -> Result<(), BakeError> {
    if !file.evaluated {
        let variables = variables(file, surroundings)?;
        let place = file.place(&[]);
        let lookup = |name: &str| variables.get(name).cloned();
        interpolate::interpolate(&mut file.value, &lookup)
            .map_err(|reason| BakeError::Variable { place, reason })?;
    }
    let file = &*file;
    let root = Node::root(file, &file.value);
    let mut own = BTreeMap::new();
    for (key, node) in root.entries()? {
        match key.as_str() {
            "variable" => {}
            "group" => groups(&node, bake)?,
            "target" => {
                for (name, node) in node.entries()? {
                    own.insert(name, node);
                }
            }
            "function" => return Err(node.unavailable("functions belong to HCL")),
            _ => return Err(node.unknown(&["group", "services", "target", "variable"])),
        }
    }
    for name in own.keys() {
        let target = inherited(&own, name, &mut Vec::new())?;
        let earlier = bake.targets.remove(name).unwrap_or_default();
        let mut merged = earlier.with(target, Lists::Replace);
        if merged.context.is_empty() {
            ".".clone_into(&mut merged.context);
        }
        bake.targets.insert(name.clone(), merged);
    }
    Ok(())
}

/// Defaults of the file, and what the environment has in their place.
fn variables(
    file: &File,
    surroundings: &Surroundings,
) -> Result<BTreeMap<String, String>, BakeError> {
    let root = Node::root(file, &file.value);
    let mut variables = BTreeMap::new();
    let Some(node) = root.get("variable") else {
        return Ok(variables);
    };
    for (name, node) in node.entries()? {
        let default = node.get("default").map(|value| value.text()).transpose()?;
        let value = surroundings.variables.get(&name).cloned().or(default);
        variables.insert(name, value.unwrap_or_default());
    }
    Ok(variables)
}

fn groups(node: &Node<'_>, bake: &mut Bake) -> Result<(), BakeError> {
    for (name, node) in node.entries()? {
        let mut targets = Vec::new();
        for (key, node) in node.entries()? {
            match key.as_str() {
                "targets" => targets = node.words()?,
                "description" => {}
                _ => return Err(node.unknown(&["description", "targets"])),
            }
        }
        bake.groups.insert(name, targets);
    }
    Ok(())
}

/// A target after those that it inherits from.
fn inherited(
    all: &BTreeMap<String, Node<'_>>,
    name: &str,
    above: &mut Vec<String>,
) -> Result<Target, BakeError> {
    let node = all.get(name).ok_or_else(|| BakeError::UnknownTarget {
        name: name.to_owned(),
        others: all.keys().cloned().collect(),
    })?;
    if above.iter().any(|known| known == name) {
        return Err(BakeError::Cycle {
            name: name.to_owned(),
        });
    }
    above.push(name.to_owned());
    let mut target = Target::default();
    if let Some(parents) = node.get("inherits") {
        for parent in parents.words()? {
            target = target.with(inherited(all, &parent, above)?, Lists::Replace);
        }
    }
    above.pop();
    let mut own = Target::default();
    for (key, node) in node.entries()? {
        set(&mut own, &key, &node)?;
    }
    Ok(target.with(own, Lists::Replace))
}

/// Takes one key of a target.
fn set(target: &mut Target, key: &str, node: &Node<'_>) -> Result<(), BakeError> {
    if node.value.is_null() {
        return Ok(());
    }
    match key {
        "inherits" | "description" => {}
        "context" => {
            target.context = node.text()?;
            target.context_in = Some(node.place());
        }
        "dockerfile" => target.dockerfile = Some(node.text()?),
        "dockerfile-inline" => target.set_inline(node, "target")?,
        "args" => target.args = node.pairs()?.into_iter().collect(),
        "labels" => target.labels = node.full_pairs()?.into_iter().collect(),
        "annotations" => target.annotations = node.words()?,
        "target" => target.target = Some(node.text()?),
        "tags" => target.tags = node.words()?,
        "platforms" => target.platforms = node.words()?,
        "cache-from" => target.cache_from = specs(node)?,
        "cache-to" => target.cache_to = specs(node)?,
        "output" => target.output = specs(node)?,
        "secret" => target.secrets = secret_specs(node)?,
        "ssh" => target.ssh = agents(node)?,
        "contexts" => target.contexts = node.full_pairs()?.into_iter().collect(),
        "network" => target.network = Some(node.text()?),
        "extra-hosts" => target.extra_hosts = hosts(node)?,
        "ulimits" => target.ulimits = node.words()?,
        "entitlements" => target.allow = node.words()?,
        "shm-size" => target.shm_size = Some(node.text()?),
        "no-cache" => target.no_cache = Some(node.boolean()?),
        "no-cache-filter" => target.no_cache_filter = node.words()?,
        "pull" => target.pull = Some(node.boolean()?),
        "attest" => attestations(node)?,
        "matrix" | "name" => {
            return Err(node.unavailable(
                "a file in HCL multiplies targets, one in JSON does not; write one for each",
            ));
        }
        "call" if node.text()? == "build" => {}
        "call" => return Err(node.unavailable("targets are built; `yadokari lint` checks")),
        _ => return Err(node.unknown(&OF_A_TARGET)),
    }
    Ok(())
}

/// The keys of a target, for whoever misspells one.
const OF_A_TARGET: [&str; 29] = [
    "annotations",
    "args",
    "attest",
    "cache-from",
    "cache-to",
    "call",
    "context",
    "contexts",
    "description",
    "dockerfile",
    "dockerfile-inline",
    "entitlements",
    "extra-hosts",
    "inherits",
    "labels",
    "matrix",
    "name",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "pull",
    "secret",
    "shm-size",
    "ssh",
    "tags",
    "target",
    "ulimits",
];

/// Agents as words, or as mappings with `id` and `paths`.
fn agents(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    let mut agents = Vec::new();
    for item in node.items()? {
        let Some(id) = item.get("id") else {
            agents.push(item.text()?);
            continue;
        };
        let paths = item.get("paths").map(|paths| paths.words()).transpose()?;
        agents.push(match paths {
            Some(paths) => format!("{}={}", id.text()?, paths.join(",")),
            None => id.text()?,
        });
    }
    Ok(agents)
}

fn hosts(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    let pairs = node.full_pairs()?;
    Ok(pairs
        .into_iter()
        .map(|(name, address)| format!("{name}={address}"))
        .collect())
}

/// Attestations that are turned off are what there is.
fn attestations(node: &Node<'_>) -> Result<(), BakeError> {
    let off = |spec: &String| spec.contains("disabled=true");
    if specs(node)?.iter().all(off) {
        return Ok(());
    }
    Err(node.unavailable("attestations are not made"))
}
