//! `push`: an archive or a layout goes to registries.

use std::collections::BTreeSet;
use std::path::Path;

use yadokari_image::{Digest, Reference};
use yadokari_store::write_atomically;

use super::held::Held;
use super::{Ground, failed, refused, transfer};
use crate::convert::{UsageError, target};
use crate::flags::go::Switch;
use crate::flags::images::Push;
use crate::report::Failure;

pub(super) async fn run(push: &Push, ground: &Ground<'_>) -> Result<String, Failure> {
    let destinations = push
        .destination
        .iter()
        .map(|text| Ok(target("destination", text)?.with_default_tag()))
        .collect::<Result<Vec<_>, UsageError>>()
        .map_err(|error| Failure::from(&error))?;
    let held = Held::open(&push.path, ground)?;
    let on = |switch: Option<Switch>| switch == Some(Switch(true));
    if !on(push.common.registry.skip_push_permission_check) {
        for repository in repositories(&destinations) {
            let allowed = ground.client.check_push(repository.name()).await;
            allowed.map_err(refused)?;
        }
    }
    let ignore_immutable = on(push.common.registry.push_ignore_immutable_tag_errors);
    let digest = send(&held, &destinations, ignore_immutable, ground).await?;
    write_names(push, ground, &destinations, digest)?;
    Ok(String::new())
}

/// Pushes an image to every name, tags last.
pub(super) async fn send(
    held: &Held,
    destinations: &[Reference],
    ignore_immutable: bool,
    ground: &Ground<'_>,
) -> Result<Digest, Failure> {
    for repository in repositories(destinations) {
        transfer::push_contents(ground, held, repository.name()).await?;
    }
    let mut digest = Digest::of(&held.top().0);
    for name in destinations {
        digest = transfer::put_top(ground, name, held.top(), ignore_immutable).await?;
    }
    for repository in repositories(destinations) {
        transfer::push_referrers(ground, held, repository.name()).await?;
    }
    Ok(digest)
}

/// One destination for each repository.
fn repositories(destinations: &[Reference]) -> impl Iterator<Item = &Reference> {
    let mut seen = BTreeSet::new();
    let first = move |name: &&Reference| seen.insert(name.name().clone());
    destinations.iter().filter(first)
}

fn write_names(
    push: &Push,
    ground: &Ground<'_>,
    destinations: &[Reference],
    digest: Digest,
) -> Result<(), Failure> {
    let lines = |with_tag: bool| -> String {
        let line = |name: &Reference| {
            let tag = name.tag().filter(|_| with_tag);
            let tag = tag.map(|tag| format!(":{tag}")).unwrap_or_default();
            format!("{}/{}{tag}@{digest}\n", name.registry(), name.repository())
        };
        destinations.iter().map(line).collect()
    };
    let files = [
        (&push.digest_file, digest.to_string()),
        (&push.image_name_with_digest_file, lines(false)),
        (&push.image_name_tag_with_digest_file, lines(true)),
    ];
    for (path, text) in files {
        let path = path.as_ref().filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = path {
            write(&ground.environment.directory.join(path), &text)?;
        }
    }
    Ok(())
}

/// Writes a small file, whose directory need not exist.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| Failure::told(format!("cannot make {}: {error}", parent.display())))?;
    }
    write_atomically(path, text.as_bytes()).map_err(failed)
}
