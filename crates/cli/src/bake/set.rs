//! `--set TARGET.KEY=VALUE`.

use std::collections::BTreeSet;

use super::error::BakeError;
use super::select::Bake;
use super::target::{Secret, Target};

impl Bake {
    /// Applies overrides. Several of the same key of a list make up the list; `+=` adds to what there is.
    ///
    /// # Errors
    ///
    /// An override without a target, with an unknown key, or with a value that the key cannot have.
    pub fn set(&mut self, overrides: &[String]) -> Result<(), BakeError> {
        let mut replaced = BTreeSet::new();
        for text in overrides {
            let wrong = |reason: &str| BakeError::Set {
                text: text.clone(),
                reason: reason.to_owned(),
            };
            let (path, value) = text.split_once('=').ok_or_else(|| wrong("has no `=`"))?;
            let (path, adds) = match path.strip_suffix('+') {
                Some(path) => (path, true),
                None => (path, false),
            };
            let (pattern, key) = path.split_once('.').ok_or_else(|| wrong("names no key"))?;
            let names: Vec<String> = self
                .targets
                .keys()
                .filter(|name| matches(pattern, name))
                .cloned()
                .collect();
            if names.is_empty() {
                return Err(wrong("no target has that name"));
            }
            for name in names {
                let first = replaced.insert((name.clone(), key.to_owned()));
                let target = self
                    .targets
                    .get_mut(&name)
                    .expect("the name was found among the targets");
                apply(target, key, value, first && !adds).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// Whether a name is meant by a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}

/// Changes one key; a list is emptied first when `fresh`.
fn apply(target: &mut Target, key: &str, value: &str, fresh: bool) -> Result<(), &'static str> {
    let boolean = || {
        value
            .parse()
            .map(Some)
            .map_err(|_| "expected true or false")
    };
    if let Some((map, name)) = key.split_once('.') {
        let (name, value) = (name.to_owned(), value.to_owned());
        match map {
            "args" => drop(target.args.insert(name, Some(value))),
            "labels" => drop(target.labels.insert(name, value)),
            "contexts" => drop(target.contexts.insert(name, value)),
            _ => return Err("there is no such key"),
        }
        return Ok(());
    }
    let list = match key {
        "tags" => Some(&mut target.tags),
        "platform" | "platforms" => Some(&mut target.platforms),
        "cache-from" => Some(&mut target.cache_from),
        "cache-to" => Some(&mut target.cache_to),
        "output" => Some(&mut target.output),
        "ssh" => Some(&mut target.ssh),
        "annotations" => Some(&mut target.annotations),
        "no-cache-filter" => Some(&mut target.no_cache_filter),
        "extra-hosts" => Some(&mut target.extra_hosts),
        "entitlements" => Some(&mut target.allow),
        "ulimits" => Some(&mut target.ulimits),
        _ => None,
    };
    if let Some(list) = list {
        if fresh {
            list.clear();
        }
        list.push(value.to_owned());
        return Ok(());
    }
    let word = Some(value.to_owned());
    match key {
        "context" => {
            value.clone_into(&mut target.context);
            target.context_in = None;
        }
        "dockerfile" => target.dockerfile = word,
        "dockerfile-inline" => {
            target.inline = word;
            "--set".clone_into(&mut target.inline_in);
        }
        "target" => target.target = word,
        "network" => target.network = word,
        "shm-size" => target.shm_size = word,
        "no-cache" => target.no_cache = boolean()?,
        "pull" => target.pull = boolean()?,
        "push" if value == "true" => target.output = vec!["type=registry".to_owned()],
        "secrets" | "secret" => set_secret(target, value, fresh)?,
        _ => return Err("there is no such key"),
    }
    Ok(())
}

fn set_secret(target: &mut Target, value: &str, fresh: bool) -> Result<(), &'static str> {
    let fields = crate::flags::go::options(value).map_err(|_| "a quote is never closed")?;
    let find = |wanted: &str| {
        let found = fields.iter().find(|(key, _)| key == wanted);
        found.and_then(|(_, value)| value.clone())
    };
    if fresh {
        target.secrets.clear();
    }
    target.secrets.push(Secret {
        id: find("id").ok_or("a secret has an id=")?,
        src: find("src").or_else(|| find("source")),
        env: find("env"),
    });
    Ok(())
}
