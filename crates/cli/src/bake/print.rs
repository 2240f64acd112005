//! What would be built, as `docker buildx bake --print` shows it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::select::{Bake, DEFAULT};
use super::target::{Secret, Target};
use crate::flags::go;

impl Bake {
    /// These targets as indented JSON, and as groups what was asked for.
    pub fn print(&self, targets: &[String], asked: &[String]) -> String {
        let mut groups = Map::new();
        for name in asked.iter().filter(|name| self.groups.contains_key(*name)) {
            groups.insert(name.clone(), json!({"targets": self.groups[name]}));
        }
        groups.insert(DEFAULT.to_owned(), json!({ "targets": asked }));
        let targets: Map<String, Value> = targets
            .iter()
            .filter_map(|name| Some((name.clone(), target(self.targets.get(name)?))))
            .collect();
        format!("{:#}\n", json!({"group": groups, "target": targets}))
    }
}

fn target(target: &Target) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if !is_empty {
            out.insert(key.to_owned(), value);
        }
    };
    put("annotations", json!(target.annotations));
    put("context", json!(target.context));
    put("contexts", json!(target.contexts));
    let dockerfile = match target.inline {
        Some(_) => None,
        None => Some(target.dockerfile.as_deref().unwrap_or("Dockerfile")),
    };
    put("dockerfile", json!(dockerfile));
    put("dockerfile-inline", json!(target.inline));
    put("args", json!(target.args));
    put("labels", json!(target.labels));
    put("tags", json!(target.tags));
    put("cache-from", fields(&target.cache_from));
    put("cache-to", fields(&target.cache_to));
    put("target", json!(target.target));
    put("secret", secrets(&target.secrets));
    put("ssh", agents(&target.ssh));
    put("platforms", json!(target.platforms));
    put("output", fields(&target.output));
    put("pull", json!(target.pull));
    put("no-cache", json!(target.no_cache));
    put("network", json!(target.network));
    put("no-cache-filter", json!(target.no_cache_filter));
    put("shm-size", json!(target.shm_size));
    put("ulimits", json!(target.ulimits));
    put("entitlements", json!(target.allow));
    let hosts = target.extra_hosts.iter();
    let hosts: BTreeMap<_, _> = hosts
        .filter_map(|host| host.split_once(['=', ':']))
        .collect();
    put("extra-hosts", json!(hosts));
    Value::Object(out)
}

/// Lines of fields as objects.
fn fields(lines: &[String]) -> Value {
    let object = |line: &String| {
        let fields = go::options(line).unwrap_or_default();
        let fields: Map<String, Value> = fields
            .into_iter()
            .map(|(key, value)| (key, json!(value.unwrap_or_default())))
            .collect();
        Value::Object(fields)
    };
    lines.iter().map(object).collect()
}

fn secrets(secrets: &[Secret]) -> Value {
    let object = |secret: &Secret| {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), json!(secret.id));
        for (key, value) in [("src", &secret.src), ("env", &secret.env)] {
            if let Some(value) = value {
                fields.insert(key.to_owned(), json!(value));
            }
        }
        Value::Object(fields)
    };
    secrets.iter().map(object).collect()
}

fn agents(agents: &[String]) -> Value {
    let object = |agent: &String| match agent.split_once('=') {
        Some((id, paths)) => json!({"id": id, "paths": paths.split(',').collect::<Vec<_>>()}),
        None => json!({"id": agent}),
    };
    agents.iter().map(object).collect()
}
