//! What belongs to an image without being a part of it: signatures, attestations, bills of materials.
//!
//! They are found as referrers, and, where they were made by cosign in its older way, under tags that are made from the
//! image's digest.

use std::collections::BTreeSet;

use yadokari_image::{Descriptor, Digest, Index, Repository, media_type};
use yadokari_registry::{RawManifest, referrers_tag};

use super::{Ground, failed, refused, transfer};
use crate::report::Failure;

/// More than this belong to no image.
const MOST: usize = 10_000;
/// What cosign puts behind the tag of a digest.
const SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];

/// Everything that refers to one of these documents, or to what does; each once.
pub(super) async fn all(
    ground: &Ground<'_>,
    repository: &Repository,
    subjects: Vec<Digest>,
) -> Result<Vec<Descriptor>, Failure> {
    let mut waiting = subjects;
    let mut asked = BTreeSet::new();
    let mut found = Vec::new();
    while let Some(subject) = waiting.pop() {
        if !asked.insert(subject) {
            continue;
        }
        let entries = ground.client.referrers(repository, subject).await;
        for entry in entries.map_err(refused)? {
            waiting.push(entry.digest);
            found.push(entry);
        }
        if found.len() > MOST {
            return Err(Failure::told(format!(
                "more than {MOST} manifests refer to {}",
                repository.with_digest(subject)
            )));
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|entry| seen.insert(entry.digest));
    Ok(found)
}

/// Brings what belongs to a document, which is in both repositories, from one to the other; how many there were.
pub(super) async fn copy(
    ground: &Ground<'_>,
    from: &Repository,
    document: &RawManifest,
    to: &Repository,
) -> Result<usize, Failure> {
    if from == to {
        return Ok(0);
    }
    let mut count = 0;
    for entry in all(ground, from, documents(document)?).await? {
        let name = from.with_digest(entry.digest);
        let Some(below) = transfer::read_if_there(ground, &name).await? else {
            continue;
        };
        transfer::copy_contents(ground, &name, &below, to).await?;
        transfer::put_below(ground, to, &below).await?;
        count += 1;
    }
    Ok(count + copy_tagged(ground, from, document, to).await?)
}

/// Brings what lies under the tags of the documents' digests.
async fn copy_tagged(
    ground: &Ground<'_>,
    from: &Repository,
    document: &RawManifest,
    to: &Repository,
) -> Result<usize, Failure> {
    let mut count = 0;
    for subject in documents(document)? {
        for suffix in SUFFIXES {
            let tag = format!("{}{suffix}", referrers_tag(subject));
            let name = from.with_tag(&tag).map_err(failed)?;
            let Some(below) = transfer::read_if_there(ground, &name).await? else {
                continue;
            };
            transfer::copy_contents(ground, &name, &below, to).await?;
            let target = to.with_tag(&tag).map_err(failed)?;
            let put = ground
                .client
                .put_manifest(&target, below.bytes, &below.media_type);
            put.await.map_err(refused)?;
            count += 1;
        }
    }
    Ok(count)
}

/// A document's digest, and those of the documents that it lists.
pub(super) fn documents(document: &RawManifest) -> Result<Vec<Digest>, Failure> {
    let mut digests = vec![document.digest];
    if media_type::is_index(&document.media_type) {
        let index = Index::parse(&document.bytes).map_err(failed)?;
        digests.extend(index.manifests.iter().map(|entry| entry.digest));
    }
    Ok(digests)
}

/// The digest that a tag was made from, if it is such a tag.
pub(super) fn subject_of(tag: &str) -> Option<Digest> {
    let rest = tag.strip_prefix("sha256-")?;
    let (hex, suffix) = rest.split_at_checked(64)?;
    let is_ours = suffix.is_empty() || suffix.starts_with(['.', '-']);
    is_ours.then(|| format!("sha256:{hex}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_digests_are_told_from_others() {
        let digest = Digest::of(b"x");
        let tag = referrers_tag(digest);
        for suffix in ["", ".sig", ".att", "-meta"] {
            assert_eq!(
                subject_of(&format!("{tag}{suffix}")),
                Some(digest),
                "{suffix}"
            );
        }
        for other in [
            "latest",
            "sha256-1",
            "sha256-é",
            &format!("{tag}0"),
            &tag[..70],
        ] {
            assert_eq!(subject_of(other), None, "{other}");
        }
    }
}
