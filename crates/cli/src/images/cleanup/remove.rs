//! Removing by the distribution API.

use yadokari_image::media_type::{self, Family};
use yadokari_image::{Descriptor, Digest, Manifest, Reference, Repository, json};
use yadokari_registry::{Client, RegistryError};

use super::plan::Plan;
use crate::images::{Ground, failed, referrers, refused, transfer};
use crate::report::Failure;

/// Removes what the plan names. What is gone already counts as removed.
pub(super) async fn run(
    plan: &Plan,
    repository: &Repository,
    ground: &Ground<'_>,
) -> Result<(), Failure> {
    for tag in &plan.names_only {
        let name = repository.with_tag(tag).map_err(failed)?;
        untag(&ground.client, &name).await.map_err(undeletable)?;
        ground.tell(&format!("removed the name {name}"));
    }
    for digest in &plan.documents {
        remove(&repository.with_digest(*digest), ground).await?;
    }
    for tag in &plan.of_digests {
        let name = repository.with_tag(tag).map_err(failed)?;
        if let Some(document) = transfer::read_if_there(ground, &name).await? {
            delete(&ground.client, &repository.with_digest(document.digest)).await?;
        }
    }
    Ok(())
}

/// Removes a document, and what refers to it.
async fn remove(name: &Reference, ground: &Ground<'_>) -> Result<(), Failure> {
    let subject = name.digest().into_iter().collect();
    let referrers = referrers::all(ground, name.name(), subject).await?;
    delete(&ground.client, name).await?;
    ground.tell(&format!("removed {name}"));
    for referrer in referrers {
        delete(&ground.client, &name.with_digest(referrer.digest)).await?;
    }
    Ok(())
}

async fn delete(client: &Client, name: &Reference) -> Result<(), Failure> {
    match client.delete(name).await {
        Err(error) if !error.is_not_found() => Err(undeletable(error)),
        _ => Ok(()),
    }
}

/// Removes a tag, whose document stays.
///
/// Registries that delete documents only are helped along: the tag is given to an empty document of its own, which is deleted.
async fn untag(client: &Client, tag: &Reference) -> Result<(), RegistryError> {
    match client.delete(tag).await {
        Ok(()) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) if matches!(error.status(), Some(400 | 405 | 501)) => {
            let digest = give_away(client, tag).await?;
            client.delete(&tag.with_digest(digest)).await
        }
        Err(error) => Err(error),
    }
}

/// Lets a tag name a document that nothing else names.
async fn give_away(client: &Client, tag: &Reference) -> Result<Digest, RegistryError> {
    let config = bytes::Bytes::from_static(b"{}");
    let descriptor = Descriptor::of("application/vnd.oci.empty.v1+json", &config);
    let name = tag.name();
    client
        .push_blob(name, descriptor.digest, descriptor.size, &config)
        .await?;
    let said = ("org.opencontainers.image.ref.name", tag.to_string());
    let manifest = Manifest {
        artifact_type: Some("application/vnd.yadokari.removed".to_owned()),
        annotations: Some([(said.0.to_owned(), said.1)].into()),
        layers: Some(Vec::new()),
        ..Manifest::new(Family::Oci, descriptor, Vec::new())
    };
    client
        .put_manifest(tag, json::compact(&manifest), media_type::OCI_MANIFEST)
        .await
}

fn undeletable(error: RegistryError) -> Failure {
    let cannot = matches!(error.status(), Some(400 | 405 | 501));
    let failure = refused(error);
    match cannot {
        true => failure.with_hint(
            "registries often refuse to delete unless they are set up to (for docker's: `storage.delete.enabled`)",
        ),
        false => failure,
    }
}
