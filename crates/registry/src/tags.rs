//! Listing the tags of a repository.

use oci_client::client::TagResponse;
use yadokari_image::Repository;

use crate::authorize::Scopes;
use crate::client::{Call, Client, with_query};
use crate::endpoint::{Endpoint, Purpose};
use crate::{Cause, Operation, RegistryError};

impl Client {
    /// Lists all tags of a repository, in the registry's order. Mirrors are not asked.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; a repository that does not exist is an error, too.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Pull);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::ListTags,
            scopes: Scopes::pull(repository),
        };
        let mut tags = Vec::new();
        self.each_page(
            &call,
            "application/json",
            |contact| with_query(contact.url(repository, "tags/list"), "n", "1000"),
            |page| {
                let found = tags_of(&page.body)?;
                let held = !found.is_empty();
                tags.extend(found);
                Ok(held)
            },
        )
        .await?;
        Ok(tags)
    }
}

fn tags_of(body: &[u8]) -> Result<Vec<String>, Cause> {
    let page: Result<TagResponse, _> = serde_json::from_slice(body);
    match page {
        Ok(page) => Ok(page.tags),
        // Registries write `"tags":null` for a repository whose tags are all gone.
        Err(_) if is_null(body) => Ok(Vec::new()),
        Err(_) => Err(Cause::Protocol {
            what: "the list of tags cannot be read",
        }),
    }
}

fn is_null(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body.get("tags").is_some_and(serde_json::Value::is_null))
}
