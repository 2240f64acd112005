//! `index create`: images of several platforms, built apart, come under one name.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use yadokari_image::media_type::Family;
use yadokari_image::{
    Descriptor, Digest, ImageConfig, Index, Manifest, Platform, Reference, json as format,
    media_type,
};
use yadokari_registry::RawManifest;

use super::{Ground, argument, failed, push, referrers, refused, transfer, unsaid};
use crate::convert::{UsageError, target};
use crate::flags::go::{KeyValue, Switch};
use crate::flags::images::IndexCreate;
use crate::report::Failure;

/// The largest config that is read, in bytes.
const CONFIG_LIMIT: u64 = 8 << 20;

pub(super) async fn run(create: &IndexCreate, ground: &Ground<'_>) -> Result<String, Failure> {
    let tags = create.tag.iter();
    let tags = tags.map(|text| Ok(target("tag", text)?.with_default_tag()));
    let tags = tags.collect::<Result<Vec<_>, UsageError>>();
    let tags = tags.map_err(|error| Failure::from(&error))?;
    let on = |switch: Option<Switch>| switch == Some(Switch(true));
    if tags.is_empty() && !on(create.dry_run) {
        return Err(unsaid(
            "the name of the index",
            "give it with --tag, or look at the index with --dry-run",
        ));
    }
    let sources = sources(create, &tags, ground)?;
    let mut documents = Vec::with_capacity(sources.len());
    for source in &sources {
        documents.push((source.clone(), transfer::read(ground, source).await?));
    }
    let top = match documents.as_slice() {
        [] => {
            return Err(unsaid(
                "which images the index is made of",
                "name them, or files with their descriptors with --file",
            ));
        }
        [(_, only)] if is_kept(create, only) => (only.bytes.to_vec(), only.media_type.clone()),
        several => combined(create, several, ground).await?,
    };
    if on(create.dry_run) {
        return Ok(String::from_utf8_lossy(&top.0).into_owned() + "\n");
    }
    publish(&tags, &documents, &top, ground).await?;
    write_facts(create, &tags, &top, ground)?;
    Ok(format!("{}\n", Digest::of(&top.0)))
}

/// A single index stays as it is, and a single image does if nobody wants an index of it.
fn is_kept(create: &IndexCreate, only: &RawManifest) -> bool {
    let wants_index = create.prefer_index != Some(Switch(false));
    let is_index = media_type::is_index(&only.media_type);
    create.annotation.is_empty() && (is_index || !wants_index)
}

/// What the arguments and files name, after what the index lists already if that is kept. A bare digest is in the first
/// name's repository.
fn sources(
    create: &IndexCreate,
    tags: &[Reference],
    ground: &Ground<'_>,
) -> Result<Vec<Reference>, Failure> {
    let mut sources = Vec::new();
    if create.append == Some(Switch(true)) {
        sources.extend(tags.first().cloned());
    }
    for path in &create.file {
        let digest = descriptor(&ground.environment.directory.join(path))?.digest;
        sources.push(in_first(tags, digest)?);
    }
    for text in &create.sources {
        sources.push(match text.parse::<Digest>() {
            Ok(digest) => in_first(tags, digest)?,
            Err(_) => argument(text)?.with_default_tag(),
        });
    }
    Ok(sources)
}

fn in_first(tags: &[Reference], digest: Digest) -> Result<Reference, Failure> {
    let first = tags.first().map(|name| name.with_digest(digest));
    first.ok_or_else(|| {
        unsaid(
            "in which repository the digest is",
            "name the index with --tag, whose repository is meant, or write REPOSITORY@DIGEST",
        )
    })
}

fn descriptor(path: &Path) -> Result<Descriptor, Failure> {
    let unreadable =
        |reason: String| Failure::told(format!("cannot read {}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))
}

/// One index over everything the documents hold, each image once.
async fn combined(
    create: &IndexCreate,
    documents: &[(Reference, RawManifest)],
    ground: &Ground<'_>,
) -> Result<(Vec<u8>, String), Failure> {
    let mut entries: Vec<Descriptor> = Vec::new();
    for (from, document) in documents {
        for entry in self::entries(from, document, ground).await? {
            entries.retain(|known| known.digest != entry.digest);
            entries.push(entry);
        }
    }
    let docker = documents
        .iter()
        .all(|(_, document)| media_type::family(&document.media_type) == Some(Family::Docker));
    let family = if docker { Family::Docker } else { Family::Oci };
    let mut index = Index::new(family, entries);
    for pair in &create.annotation {
        annotate(&mut index, pair)?;
    }
    Ok((format::indented(&index), family.index().to_owned()))
}

/// The entries of an index, or the one that describes an image.
async fn entries(
    from: &Reference,
    document: &RawManifest,
    ground: &Ground<'_>,
) -> Result<Vec<Descriptor>, Failure> {
    if media_type::is_index(&document.media_type) {
        let index = Index::parse(&document.bytes).map_err(failed)?;
        return Ok(index.manifests);
    }
    let manifest = Manifest::parse(&document.bytes).map_err(failed)?;
    let config = ground
        .client
        .small_blob(from, &manifest.config, CONFIG_LIMIT);
    let config = ImageConfig::parse(&config.await.map_err(refused)?).map_err(failed)?;
    let entry = Descriptor {
        platform: Some(Platform {
            variant: config.variant,
            ..Platform::new(config.os, config.architecture)
        }),
        ..Descriptor::of(document.media_type.clone(), &document.bytes)
    };
    Ok(vec![entry])
}

/// Puts an annotation where its prefix says; without one, on the index.
fn annotate(index: &mut Index, pair: &KeyValue) -> Result<(), Failure> {
    let put = |all: &mut Option<BTreeMap<String, String>>, key: &str| {
        all.get_or_insert_default()
            .insert(key.to_owned(), pair.value.clone());
    };
    let (place, key) = pair.key.split_once(':').unwrap_or(("index", &pair.key));
    let (kind, platform) = match place.split_once('[') {
        Some((kind, rest)) => (kind, Some(rest.trim_end_matches(']'))),
        None => (place, None),
    };
    match (kind, platform) {
        ("index", None) => put(&mut index.annotations, key),
        ("manifest-descriptor", wanted) => {
            let wanted = wanted.map(Platform::parse).transpose().map_err(failed)?;
            let fits = |entry: &&mut Descriptor| wanted.is_none() || entry.platform == wanted;
            let entries = index.manifests.iter_mut().filter(fits);
            entries.for_each(|entry| put(&mut entry.annotations, key));
        }
        _ => {
            return Err(Failure::from(&UsageError::Value {
                flag: "annotation",
                value: pair.key.clone(),
                reason: "annotations of an index go on index or manifest-descriptor".to_owned(),
            }));
        }
    }
    Ok(())
}

/// Brings the images to where the names are, then writes the names.
async fn publish(
    tags: &[Reference],
    documents: &[(Reference, RawManifest)],
    top: &(Vec<u8>, String),
    ground: &Ground<'_>,
) -> Result<(), Failure> {
    for tag in tags {
        for (from, document) in documents {
            if from.name() == tag.name() {
                continue;
            }
            transfer::copy_contents(ground, from, document, tag.name()).await?;
            if !media_type::is_index(&document.media_type) {
                transfer::put_below(ground, tag.name(), document).await?;
            }
        }
    }
    for tag in tags {
        transfer::put_top(ground, tag, top.clone(), false).await?;
        for (from, document) in documents {
            referrers::copy(ground, from.name(), document, tag.name()).await?;
        }
    }
    Ok(())
}

fn write_facts(
    create: &IndexCreate,
    tags: &[Reference],
    (bytes, media_type): &(Vec<u8>, String),
    ground: &Ground<'_>,
) -> Result<(), Failure> {
    let Some(path) = &create.metadata_file else {
        return Ok(());
    };
    let names: Vec<_> = tags.iter().map(ToString::to_string).collect();
    let facts = json!({
        "containerimage.descriptor": Descriptor::of(media_type.clone(), bytes),
        "containerimage.digest": Digest::of(bytes).to_string(),
        "image.name": names.join(","),
    });
    push::write(
        &ground.environment.directory.join(path),
        &format!("{facts:#}"),
    )
}
