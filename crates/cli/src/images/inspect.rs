//! `inspect`: what an image is, without its layers.

use serde_json::{Value, json};
use yadokari_image::{Descriptor, Index, Manifest, Reference, media_type};
use yadokari_registry::RawManifest;

use super::{Ground, argument, failed, platform, refused, transfer};
use crate::flags::go::Switch;
use crate::flags::images::Inspect;
use crate::report::Failure;

pub(super) async fn run(inspect: &Inspect, ground: &Ground<'_>) -> Result<String, Failure> {
    let name = argument(&inspect.reference)?.with_default_tag();
    let on = |switch: Option<Switch>| switch == Some(Switch(true));
    if on(inspect.config) || (inspect.platform.is_some() && !on(inspect.raw)) {
        return config(inspect, ground, &name).await;
    }
    let document = transfer::read(ground, &name).await?;
    if on(inspect.raw) {
        return Ok(String::from_utf8_lossy(&document.bytes).into_owned());
    }
    let mut facts = facts(&name, &document)?;
    let belonging = referrers(ground, &name, &document).await;
    if !belonging.is_empty() {
        facts["referrers"] = belonging.into();
    }
    Ok(format!("{facts:#}\n"))
}

/// What refers to the image, one entry each. A registry that does not say is told about.
async fn referrers(ground: &Ground<'_>, name: &Reference, document: &RawManifest) -> Vec<Value> {
    let found = ground
        .client
        .referrers(name.name(), document.digest)
        .await
        .unwrap_or_else(|error| {
            ground.warn(&format!("what refers to the image is not known: {error}"));
            Vec::new()
        });
    let entry = |entry: &Descriptor| {
        json!({
            "digest": entry.digest.to_string(),
            "size": entry.size,
            "artifactType": entry.artifact_type,
            "annotations": entry.annotations,
        })
    };
    found.iter().map(entry).collect()
}

async fn config(
    inspect: &Inspect,
    ground: &Ground<'_>,
    name: &Reference,
) -> Result<String, Failure> {
    let platform = platform("platform", inspect.platform.as_deref())?;
    let image = ground.client.resolve_image(name, &platform).await;
    let image = image.map_err(refused)?;
    let config: Value = serde_json::from_slice(&image.config_bytes).map_err(failed)?;
    Ok(format!("{config:#}\n"))
}

fn facts(name: &Reference, document: &RawManifest) -> Result<Value, Failure> {
    let mut facts = json!({
        "name": name.to_string(),
        "digest": document.digest.to_string(),
        "mediaType": document.media_type,
    });
    if media_type::is_index(&document.media_type) {
        let index = Index::parse(&document.bytes).map_err(failed)?;
        facts["manifests"] = index
            .manifests
            .iter()
            .map(|entry| {
                json!({
                    "digest": entry.digest.to_string(),
                    "size": entry.size,
                    "platform": entry.platform.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        return Ok(facts);
    }
    let manifest = Manifest::parse(&document.bytes).map_err(failed)?;
    let size: u64 = manifest.layers().iter().map(|layer| layer.size).sum();
    facts["config"] = manifest.config.digest.to_string().into();
    facts["size"] = size.into();
    facts["layers"] = manifest
        .layers()
        .iter()
        .map(|layer| json!({"digest": layer.digest.to_string(), "size": layer.size, "mediaType": layer.media_type}))
        .collect();
    Ok(facts)
}
