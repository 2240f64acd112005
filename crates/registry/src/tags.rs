//! Listing the tags of a repository.

use oci_client::client::TagResponse;
use reqwest::header::LINK;
use reqwest::{Method, Response};
use url::Url;
use yadokari_image::Repository;

use crate::authorize::Scopes;
use crate::client::{Call, Client, with_query};
use crate::endpoint::{Endpoint, Purpose};
use crate::response::read_body;
use crate::transport::Request;
use crate::{Cause, Operation, RegistryError};

/// The largest page that is read, in bytes.
const PAGE_LIMIT: u64 = 16 * 1024 * 1024;
/// The most pages that are read.
const PAGES: usize = 10_000;

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
        let mut next: Option<Url> = None;
        for _ in 0..PAGES {
            let answer = self.inner.call(&call, |contact| {
                let first = || with_query(contact.url(repository, "tags/list"), "n", "1000");
                Request::new(Method::GET, next.clone().unwrap_or_else(first))
            });
            let response = answer.await?;
            let following = next_page(&response);
            let page = self
                .read_page(response)
                .await
                .map_err(|cause| call.failed(cause))?;
            let empty = page.is_empty();
            tags.extend(page);
            match following {
                Some(url) if !empty && next.as_ref() != Some(&url) => next = Some(url),
                _ => return Ok(tags),
            }
        }
        Err(call.failed(Cause::Protocol {
            what: "the list of tags does not end",
        }))
    }

    async fn read_page(&self, response: Response) -> Result<Vec<String>, Cause> {
        let body = read_body(response, PAGE_LIMIT, self.inner.transport.patience()).await?;
        let page: Result<TagResponse, _> = serde_json::from_slice(&body);
        match page {
            Ok(page) => Ok(page.tags),
            // Registries write `"tags":null` for a repository whose tags are all gone.
            Err(_) if is_null(&body) => Ok(Vec::new()),
            Err(_) => Err(Cause::Protocol {
                what: "the list of tags cannot be read",
            }),
        }
    }
}

fn is_null(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body.get("tags").is_some_and(serde_json::Value::is_null))
}

/// The target of `Link: <…>; rel="next"`, on the same host.
fn next_page(response: &Response) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let target = link
        .split(',')
        .filter(|part| part.contains("rel=\"next\"") || part.contains("rel=next"))
        .find_map(|part| part.trim().strip_prefix('<')?.split('>').next())?;
    let url = response.url().join(target).ok()?;
    (url.origin() == response.url().origin()).then_some(url)
}
