//! Lists that registries give in pages.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LINK};
use reqwest::{Method, Response};
use url::Url;

use crate::client::{Call, Client};
use crate::endpoint::Contact;
use crate::response::read_body;
use crate::transport::Request;
use crate::{Cause, RegistryError};

/// The largest page that is read, in bytes.
const PAGE_LIMIT: u64 = 16 * 1024 * 1024;
/// The most pages that are read.
const PAGES: usize = 10_000;

/// One page, as it came.
pub(crate) struct Page {
    pub(crate) media_type: String,
    pub(crate) body: Bytes,
}

impl Client {
    /// Reads pages from `first` on until one is empty or the last; `take` says whether its page held anything.
    pub(crate) async fn each_page(
        &self,
        call: &Call<'_>,
        accept: &'static str,
        first: impl Fn(&Contact) -> Url,
        mut take: impl FnMut(&Page) -> Result<bool, Cause>,
    ) -> Result<(), RegistryError> {
        let mut next: Option<Url> = None;
        for _ in 0..PAGES {
            let answer = self.inner.call(call, |contact| {
                let url = next.clone().unwrap_or_else(|| first(contact));
                Request::new(Method::GET, url).header(ACCEPT, HeaderValue::from_static(accept))
            });
            let response = answer.await?;
            let following = next_page(&response);
            let page = self.read_page(response).await;
            let held = page.and_then(|page| take(&page));
            let held = held.map_err(|cause| call.failed(cause))?;
            match following {
                Some(url) if held && next.as_ref() != Some(&url) => next = Some(url),
                _ => return Ok(()),
            }
        }
        Err(call.failed(Cause::Protocol {
            what: "the list does not end",
        }))
    }

    async fn read_page(&self, response: Response) -> Result<Page, Cause> {
        let declared = response.headers().get(CONTENT_TYPE);
        let declared = declared.and_then(|value| value.to_str().ok());
        let media_type = declared.and_then(|text| text.split(';').next());
        Ok(Page {
            media_type: media_type.unwrap_or_default().trim().to_owned(),
            body: read_body(response, PAGE_LIMIT, self.inner.transport.patience()).await?,
        })
    }
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
