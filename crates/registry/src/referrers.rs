//! Referrers: manifests that name another one as their subject, such as signatures and bills of materials.
//!
//! Registries of [distribution 1.1](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers)
//! list them. For all others clients keep an index of them, under a tag made from the subject's digest.

use std::collections::BTreeSet;

use serde::Deserialize;
use yadokari_image::media_type::{self, Family};
use yadokari_image::{Descriptor, Digest, Index, Reference, Repository, json};

use crate::authorize::Scopes;
use crate::client::{Call, Client};
use crate::endpoint::{Endpoint, Purpose};
use crate::{Accept, Cause, Operation, RegistryError};

/// The tag of the index that lists what refers to `subject`, in registries that keep no list themselves.
///
/// ```
/// use yadokari_image::Digest;
///
/// let tag = yadokari_registry::referrers_tag(Digest::of(b""));
/// assert!(tag.starts_with("sha256-e3b0c44298fc1c14"));
/// ```
#[must_use]
pub fn referrers_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// What a manifest says about whom it belongs to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Referring {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl Client {
    /// Lists the manifests that name `subject` as theirs, each once. Mirrors are not asked.
    ///
    /// A repository that does not have the subject has no referrers of it either.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if neither the registry's list nor the index in its place can be read.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let listed = self.listed(repository, subject).await?;
        let mut found = match listed {
            Some(found) => found,
            None => self.tagged(repository, subject).await?,
        };
        let mut seen = BTreeSet::new();
        found.retain(|entry| seen.insert(entry.digest));
        Ok(found)
    }

    /// The registry's own list; `None` from a registry that has no such lists.
    async fn listed(
        &self,
        repository: &Repository,
        subject: Digest,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Pull);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::ListReferrers(subject),
            scopes: Scopes::pull(repository),
        };
        let (mut found, mut is_list) = (Vec::new(), true);
        let done = self
            .each_page(
                &call,
                media_type::OCI_INDEX,
                |contact| contact.url(repository, &format!("referrers/{subject}")),
                |page| {
                    // Web pages answer to any path.
                    is_list &= page.media_type == media_type::OCI_INDEX;
                    if !is_list {
                        return Ok(false);
                    }
                    let entries = Index::parse(&page.body)?.manifests;
                    let held = !entries.is_empty();
                    found.extend(entries);
                    Ok(held)
                },
            )
            .await;
        match done {
            Ok(()) => Ok(is_list.then_some(found)),
            Err(error) if error.is_unsupported() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the index under the subject's tag lists.
    async fn tagged(
        &self,
        repository: &Repository,
        subject: Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Pull);
        let name = tagged_name(repository, subject);
        let found = self.manifest_at(&endpoint, &name, Accept::ManifestOrIndex);
        let document = match found.await {
            Ok(document) => document,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // Whoever took the tag for something else lists nothing.
        let index =
            media_type::is_index(&document.media_type).then(|| Index::parse(&document.bytes));
        Ok(index
            .and_then(Result::ok)
            .map_or_else(Vec::new, |index| index.manifests))
    }

    /// Adds a manifest that was just written to the index of its subject, where the registry keeps no list.
    pub(crate) async fn tag_referrer(
        &self,
        repository: &Repository,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<(), RegistryError> {
        let Some((subject, entry)) = referring(bytes, media_type) else {
            return Ok(());
        };
        let mut entries = self.tagged(repository, subject).await?;
        if entries.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        entries.push(entry);
        let index = json::compact(&Index::new(Family::Oci, entries));
        let name = tagged_name(repository, subject);
        self.put_document(&name, index.into(), media_type::OCI_INDEX)
            .await
            .map(drop)
    }
}

fn tagged_name(repository: &Repository, subject: Digest) -> Reference {
    repository
        .with_tag(&referrers_tag(subject))
        .expect("letters, digits and a dash make a tag, and 71 of them are not too many")
}

/// The subject of a manifest, and the entry by which the manifest is listed.
fn referring(bytes: &[u8], media_type: &str) -> Option<(Digest, Descriptor)> {
    let document: Referring = serde_json::from_slice(bytes).ok()?;
    let subject = document.subject?.digest;
    let of_config = document.config.map(|config| config.media_type);
    let entry = Descriptor {
        artifact_type: document.artifact_type.or(of_config),
        annotations: document.annotations,
        ..Descriptor::of(media_type, bytes)
    };
    Some((subject, entry))
}

impl RegistryError {
    /// Whether the registry does not know what it was asked to do, as far as its status tells.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        match self.cause.as_ref() {
            Cause::Rejected { status, code, .. } => {
                matches!(status, 404 | 405 | 501) || code.as_deref() == Some("UNSUPPORTED")
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_listed_by_its_type_or_that_of_its_config() {
        let subject = Digest::of(b"image");
        let with = |rest: &str| {
            let text = format!(
                r#"{{"schemaVersion":2,"subject":{{"mediaType":"m","digest":"{subject}","size":5}}{rest}}}"#
            );
            referring(text.as_bytes(), media_type::OCI_MANIFEST)
        };
        let config = format!(r#","config":{{"mediaType":"c/d","digest":"{subject}","size":2}}"#);
        let typed = format!(r#"{config},"artifactType":"a/b","annotations":{{"k":"v"}}"#);
        let (of, entry) = with(&typed).unwrap();
        assert_eq!((of, entry.artifact_type.as_deref()), (subject, Some("a/b")));
        assert_eq!(entry.annotations.unwrap()["k"], "v");
        let (_, entry) = with(&config).unwrap();
        assert_eq!(entry.artifact_type.as_deref(), Some("c/d"));
        for without in [
            "{}",
            "[]",
            "",
            r#"{"subject":null}"#,
            r#"{"subject":{"digest":"x"}}"#,
        ] {
            assert!(referring(without.as_bytes(), "").is_none(), "{without}");
        }
    }
}
