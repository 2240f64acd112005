//! The keys of a `build:` section.

use std::collections::BTreeMap;

use super::local;
use crate::bake::error::BakeError;
use crate::bake::node::Node;
use crate::bake::target::{Secret, Target, field};

/// Takes one key of a `build:` section.
pub(super) fn set(
    root: &Node<'_>,
    target: &mut Target,
    key: &str,
    node: &Node<'_>,
) -> Result<(), BakeError> {
    if node.value.is_null() {
        return Ok(());
    }
    match key {
        "context" => {
            target.context = local(root, &node.text()?);
            target.context_in = Some(node.place());
        }
        "dockerfile" => target.dockerfile = Some(node.text()?),
        "dockerfile_inline" => target.set_inline(node, "service")?,
        "args" => target.args = node.pairs()?.into_iter().collect(),
        "labels" => target.labels = node.full_pairs()?.into_iter().collect(),
        "target" => target.target = Some(node.text()?),
        "tags" => target.tags = node.words()?,
        "platforms" => target.platforms = node.words()?,
        "cache_from" => target.cache_from = cache(node.words()?),
        "cache_to" => target.cache_to = cache(node.words()?),
        "network" => target.network = Some(node.text()?),
        "extra_hosts" => target.extra_hosts = hosts(node)?,
        "ulimits" => target.ulimits = limits(node)?,
        "shm_size" => target.shm_size = Some(node.text()?),
        "no_cache" => target.no_cache = Some(node.boolean()?),
        "pull" => target.pull = Some(node.boolean()?),
        "secrets" => target.secrets = secrets(root, node)?,
        "ssh" => target.ssh = agents(node)?,
        "additional_contexts" => target.contexts = contexts(root, node)?,
        "entitlements" => target.allow = node.words()?,
        "x-bake" => bake_keys(target, node)?,
        "privileged" if node.boolean()? => {
            target.allow.push("security.insecure".to_owned());
        }
        "privileged" => {}
        "provenance" | "sbom" if node.text()? == "false" => {}
        "provenance" | "sbom" => return Err(node.unavailable("attestations are not made")),
        "isolation" => return Err(node.unavailable("it is a choice that Windows has")),
        key if key.starts_with("x-") => {}
        _ => return Err(node.unknown(&OF_A_BUILD)),
    }
    Ok(())
}

/// A bare reference is short for a repository of a registry.
fn cache(words: Vec<String>) -> Vec<String> {
    let long = |word: String| {
        if word.contains('=') {
            word
        } else {
            format!("type=registry,ref={word}")
        }
    };
    words.into_iter().map(long).collect()
}

fn hosts(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    if !node.value.is_mapping() {
        return node.words();
    }
    let mut hosts = Vec::new();
    for (name, addresses) in node.entries()? {
        hosts.extend(addresses.words()?.iter().map(|at| format!("{name}={at}")));
    }
    Ok(hosts)
}

fn limits(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    let limit = |(name, node): (String, Node<'_>)| match (node.get("soft"), node.get("hard")) {
        (Some(soft), Some(hard)) => Ok(format!("{name}={}:{}", soft.text()?, hard.text()?)),
        (Some(one), None) | (None, Some(one)) => Ok(format!("{name}={}", one.text()?)),
        (None, None) => Ok(format!("{name}={}", node.text()?)),
    };
    node.entries()?.into_iter().map(limit).collect()
}

/// Secrets by name, or with a name of their own; where they come from stands at the top of the file.
fn secrets(root: &Node<'_>, node: &Node<'_>) -> Result<Vec<Secret>, BakeError> {
    let defined = root.get("secrets");
    let mut secrets = Vec::new();
    for item in node.items()? {
        let name = match item.get("source") {
            Some(source) => source.text()?,
            None => item.text()?,
        };
        let source = defined.as_ref().and_then(|all| all.get(&name));
        let source = source.ok_or_else(|| item.expected("a name of the top-level `secrets:`"))?;
        let word = |key| source.get(key).map(|value| value.text()).transpose();
        let secret = Secret {
            src: word("file")?.map(|path| local(root, &path)),
            env: word("environment")?,
            id: name,
        };
        if secret.src.is_none() && secret.env.is_none() {
            return Err(source.expected("`file:` or `environment:`"));
        }
        secrets.push(secret);
    }
    Ok(secrets)
}

fn agents(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    let agent = |(id, path): (String, Option<String>)| match path {
        Some(path) => format!("{id}={path}"),
        None => id,
    };
    Ok(node.pairs()?.into_iter().map(agent).collect())
}

fn contexts(root: &Node<'_>, node: &Node<'_>) -> Result<BTreeMap<String, String>, BakeError> {
    let meaning = |value: String| match value.strip_prefix("service:") {
        Some(service) => format!("target:{service}"),
        None if value.contains("://") => value,
        None => local(root, &value),
    };
    let pairs = node.full_pairs()?;
    Ok(pairs
        .into_iter()
        .map(|(name, value)| (name, meaning(value)))
        .collect())
}

/// Keys that bake has and Compose lacks. They join what the keys of Compose say.
fn bake_keys(target: &mut Target, node: &Node<'_>) -> Result<(), BakeError> {
    for (key, node) in node.entries()? {
        match key.as_str() {
            "tags" => target.tags.extend(node.words()?),
            "platforms" => target.platforms.extend(node.words()?),
            "cache-from" => target.cache_from.extend(cache(specs(&node)?)),
            "cache-to" => target.cache_to.extend(cache(specs(&node)?)),
            "output" => target.output.extend(specs(&node)?),
            "annotations" => target.annotations.extend(node.words()?),
            "ssh" => target.ssh.extend(node.words()?),
            "secret" => target.secrets.extend(secret_specs(&node)?),
            "pull" => target.pull = Some(node.boolean()?),
            "no-cache" => target.no_cache = Some(node.boolean()?),
            "no-cache-filter" => target.no_cache_filter.extend(node.words()?),
            "contexts" => target.contexts.extend(node.full_pairs()?),
            _ => return Err(node.unknown(&OF_BAKE)),
        }
    }
    Ok(())
}

/// The keys of `build:`, for whoever misspells one.
const OF_A_BUILD: [&str; 25] = [
    "additional_contexts",
    "args",
    "cache_from",
    "cache_to",
    "context",
    "dockerfile",
    "dockerfile_inline",
    "entitlements",
    "extra_hosts",
    "isolation",
    "labels",
    "network",
    "no_cache",
    "platforms",
    "privileged",
    "provenance",
    "pull",
    "sbom",
    "secrets",
    "shm_size",
    "ssh",
    "tags",
    "target",
    "ulimits",
    "x-bake",
];

/// The keys of `x-bake:`, likewise.
const OF_BAKE: [&str; 12] = [
    "annotations",
    "cache-from",
    "cache-to",
    "contexts",
    "no-cache",
    "no-cache-filter",
    "output",
    "platforms",
    "pull",
    "secret",
    "ssh",
    "tags",
];

/// Lines of `key=value` fields, or mappings of them.
pub(in crate::bake) fn specs(node: &Node<'_>) -> Result<Vec<String>, BakeError> {
    if !node.value.is_sequence() {
        return node.words();
    }
    let spec = |item: Node<'_>| {
        if !item.value.is_mapping() {
            return item.text();
        }
        let fields = item.full_pairs()?;
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| field(&format!("{key}={value}")))
            .collect();
        Ok(fields.join(","))
    };
    node.items()?.into_iter().map(spec).collect()
}

/// `id=ID,src=FILE` lines, or mappings of the same.
pub(in crate::bake) fn secret_specs(node: &Node<'_>) -> Result<Vec<Secret>, BakeError> {
    let secret = |spec: String| {
        let fields = crate::flags::go::options(&spec).unwrap_or_default();
        let value = |wanted: &[&str]| {
            let found = fields
                .iter()
                .find(|(key, _)| wanted.contains(&key.as_str()));
            found.and_then(|(_, value)| value.clone())
        };
        let id = value(&["id"]).ok_or_else(|| node.expected("`id=ID`"))?;
        Ok(Secret {
            id,
            src: value(&["src", "source"]),
            env: value(&["env"]),
        })
    };
    specs(node)?.into_iter().map(secret).collect()
}
