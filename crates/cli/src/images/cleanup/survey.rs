//! Reading what a repository's tags stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use yadokari_image::{
    Descriptor, Digest, ImageConfig, Index, Manifest, Reference, Repository, media_type,
};
use yadokari_registry::RawManifest;

use super::rules::Tag;
use crate::images::{Ground, failed, refused, transfer};
use crate::report::Failure;

/// How many tags are read at the same time.
const CONCURRENT: usize = 6;
/// The largest config that is read, in bytes.
const CONFIG_LIMIT: u64 = 8 << 20;
/// Annotation that says when something was made.
const CREATED: &str = "org.opencontainers.image.created";

/// How many indexes may lie within one another.
const DEEPEST: usize = 8;

/// Indexes within indexes, without end.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} lists indexes within indexes, more than {DEEPEST} deep; what it needs is not known, so nothing is removed"
)]
struct TooDeep {
    name: Reference,
}

/// What an image's manifest and config say.
struct Facts {
    made: Option<SystemTime>,
    size: u64,
    needs: BTreeSet<Digest>,
}

/// Reads all of these tags. Those that went meanwhile are left out.
pub(super) async fn tags(
    ground: &Ground<'_>,
    repository: &Repository,
    names: Vec<String>,
) -> Result<Vec<Tag>, Failure> {
    let documents = names.into_iter().map(|name| async {
        let reference = repository.with_tag(&name).map_err(failed)?;
        let document = transfer::read_if_there(ground, &reference).await?;
        Ok::<_, Failure>(document.map(|document| (name, document)))
    });
    let found: Vec<_> = stream::iter(documents.collect::<Vec<_>>())
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    let found: Vec<(String, RawManifest)> = found.into_iter().flatten().collect();
    let facts = facts_by_digest(ground, repository, &found).await?;
    let tag = |(name, document): (String, RawManifest)| {
        let facts = facts.get(&document.digest)?;
        Some(Tag {
            name,
            digest: document.digest,
            made: facts.made,
            size: facts.size,
            needs: facts.needs.clone(),
        })
    };
    Ok(found.into_iter().filter_map(tag).collect())
}

/// Several tags of one image are read as one.
async fn facts_by_digest(
    ground: &Ground<'_>,
    repository: &Repository,
    found: &[(String, RawManifest)],
) -> Result<BTreeMap<Digest, Facts>, Failure> {
    let documents: BTreeMap<_, _> = found
        .iter()
        .map(|(_, document)| (document.digest, document))
        .collect();
    let reads = documents.into_values().map(|document| async {
        let name = repository.with_digest(document.digest);
        let facts = facts(ground, &name, document, DEEPEST).await?;
        Ok::<_, Failure>((document.digest, facts))
    });
    stream::iter(reads.collect::<Vec<_>>())
        .buffered(CONCURRENT)
        .try_collect()
        .await
}

async fn facts(
    ground: &Ground<'_>,
    name: &Reference,
    document: &RawManifest,
    levels: usize,
) -> Result<Facts, Failure> {
    if media_type::is_index(&document.media_type) {
        let below = levels.checked_sub(1);
        let below = below.ok_or_else(|| failed(TooDeep { name: name.clone() }))?;
        return Box::pin(of_index(ground, name, document, below)).await;
    }
    of_manifest(ground, name, document).await
}

/// An index is as young as the youngest of its images, and needs them all.
async fn of_index(
    ground: &Ground<'_>,
    name: &Reference,
    document: &RawManifest,
    levels: usize,
) -> Result<Facts, Failure> {
    let index = Index::parse(&document.bytes).map_err(failed)?;
    let mut whole = Facts {
        made: annotated(index.annotations.as_ref()),
        size: 0,
        needs: needs(document.digest, index.subject.as_ref()),
    };
    for entry in &index.manifests {
        whole.needs.insert(entry.digest);
        let below = name.with_digest(entry.digest);
        // What is listed and not there cannot be kept either.
        let Some(listed) = transfer::read_if_there(ground, &below).await? else {
            continue;
        };
        let image = facts(ground, &below, &listed, levels).await?;
        whole.made = whole.made.max(image.made);
        whole.size += image.size;
        whole.needs.extend(image.needs);
    }
    Ok(whole)
}

async fn of_manifest(
    ground: &Ground<'_>,
    name: &Reference,
    document: &RawManifest,
) -> Result<Facts, Failure> {
    let manifest = Manifest::parse(&document.bytes).map_err(failed)?;
    let made = match media_type::is_config(&manifest.config.media_type) {
        true => created(ground, name, &manifest.config).await?,
        false => None,
    };
    let layers: u64 = manifest.layers().iter().map(|layer| layer.size).sum();
    Ok(Facts {
        made: made.or_else(|| annotated(manifest.annotations.as_ref())),
        size: layers + manifest.config.size,
        needs: needs(document.digest, manifest.subject.as_ref()),
    })
}

/// A referrer that has a tag of its own needs its subject.
fn needs(digest: Digest, subject: Option<&Descriptor>) -> BTreeSet<Digest> {
    let subject = subject.map(|subject| subject.digest);
    subject.into_iter().chain([digest]).collect()
}

async fn created(
    ground: &Ground<'_>,
    name: &Reference,
    config: &Descriptor,
) -> Result<Option<SystemTime>, Failure> {
    let bytes = ground.client.small_blob(name, config, CONFIG_LIMIT).await;
    let config = ImageConfig::parse(&bytes.map_err(refused)?);
    Ok(config
        .ok()
        .and_then(|config| time(config.created.as_deref()?)))
}

fn annotated(annotations: Option<&BTreeMap<String, String>>) -> Option<SystemTime> {
    time(annotations?.get(CREATED)?)
}

/// Reproducible images are made at the beginning of time, which says nothing.
fn time(text: &str) -> Option<SystemTime> {
    let made = with_offset(text)?;
    (made > SystemTime::UNIX_EPOCH).then_some(made)
}

/// Reads RFC 3339 in any zone.
fn with_offset(text: &str) -> Option<SystemTime> {
    let split = text
        .len()
        .checked_sub(6)
        .filter(|at| text.is_char_boundary(*at));
    let (local, zone) = split.map_or((text, ""), |at| text.split_at(at));
    let ahead = match zone.get(..1) {
        Some("+") => true,
        Some("-") => false,
        _ => return humantime::parse_rfc3339_weak(text).ok(),
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let minutes = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    let offset = Duration::from_secs(minutes * 60);
    let local = humantime::parse_rfc3339_weak(local).ok()?;
    match ahead {
        true => local.checked_sub(offset),
        false => local.checked_add(offset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_zones_and_pinned_ones_say_nothing() {
        let noon = time("2024-05-06T12:00:00Z").unwrap();
        for same in ["2024-05-06T14:30:00+02:30", "2024-05-06T11:00:00.000-01:00"] {
            assert_eq!(time(same), Some(noon), "{same}");
        }
        assert!(time("2024-05-06T07:08:09.123456789Z").is_some());
        for nothing in [
            "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "",
            "yesterday",
            "éé+00:00",
        ] {
            assert_eq!(time(nothing), None, "{nothing}");
        }
    }
}
