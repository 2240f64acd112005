//! Manifests: reading them by tag or digest, and writing them.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;
use yadokari_image::{Digest, Reference, media_type};

use crate::authorize::Scopes;
use crate::client::{Call, Client};
use crate::endpoint::{Endpoint, Purpose};
use crate::response::read_body;
use crate::transport::{Payload, Request};
use crate::{Cause, Operation, RegistryError};

/// The largest manifest that is read, in bytes; registries accept no larger ones.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Which documents an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accept {
    /// A manifest, or an index over several.
    #[default]
    ManifestOrIndex,
    /// A manifest. Registries that convert choose one from an index, others answer with the index.
    Manifest,
}

/// A manifest or index, exactly as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// The document's bytes.
    pub bytes: Bytes,
    /// What the document is.
    pub media_type: String,
    /// Digest of the bytes; equal to the one asked for, if a digest was asked for.
    pub digest: Digest,
    /// The host that answered: the registry's, or a mirror's.
    pub endpoint: String,
}

/// What is known of a manifest without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// Digest, if the registry says it.
    pub digest: Option<Digest>,
    /// What the document is, if the registry says it.
    pub media_type: Option<String>,
    /// Length in bytes, if the registry says it.
    pub size: Option<u64>,
}

impl Accept {
    fn header(self) -> HeaderValue {
        let mut types = vec![media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];
        if self == Self::ManifestOrIndex {
            types.extend([media_type::OCI_INDEX, media_type::DOCKER_INDEX]);
        }
        HeaderValue::from_str(&types.join(", ")).expect("media types are plain text")
    }
}

impl Client {
    /// Reads a manifest or index, from a mirror if there is one.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] of the last place that was asked.
    pub async fn manifest(
        &self,
        reference: &Reference,
        accept: Accept,
    ) -> Result<RawManifest, RegistryError> {
        self.inner
            .at_any_place(reference.name(), |endpoint| async move {
                self.manifest_at(&endpoint, reference, accept).await
            })
            .await
    }

    /// Asks for a manifest's digest, type and size without reading it; `None` if it does not exist.
    ///
    /// Mirrors are asked too, as in [`Client::manifest`].
    ///
    /// # Errors
    ///
    /// [`RegistryError`] of the last place that was asked.
    pub async fn head_manifest(
        &self,
        reference: &Reference,
    ) -> Result<Option<ManifestHead>, RegistryError> {
        let found = self
            .inner
            .at_any_place(reference.name(), |endpoint| async move {
                let accept = Accept::ManifestOrIndex;
                self.request_manifest(Method::HEAD, &endpoint, reference, accept)
                    .await
            })
            .await;
        match found {
            Ok(response) => Ok(Some(head(&response))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a repository that is pushed to has a manifest already. Mirrors are not asked.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry does not say.
    pub async fn has_manifest(&self, reference: &Reference) -> Result<bool, RegistryError> {
        let endpoint = Endpoint::new(reference.name(), Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::FindManifest(reference.identifier()),
            scopes: Scopes::push(reference.name()),
        };
        let rest = format!("manifests/{}", reference.identifier());
        let answer = self.inner.call(&call, |contact| {
            let url = contact.url(reference.name(), &rest);
            Request::new(Method::HEAD, url).header(ACCEPT, Accept::ManifestOrIndex.header())
        });
        match answer.await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes a manifest or index under the reference's tag, or under its digest if it has one.
    ///
    /// All blobs that it names must be there already. One that names a subject becomes a referrer of it, also in
    /// registries that do not know of referrers.
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; see [`RegistryError::is_immutable_tag`] for tags that may not change.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        bytes: impl Into<Bytes>,
        media_type: &str,
    ) -> Result<Digest, RegistryError> {
        let bytes = bytes.into();
        let answer = self
            .put_document(reference, bytes.clone(), media_type)
            .await?;
        if !answer.headers().contains_key("oci-subject") {
            self.tag_referrer(reference.name(), &bytes, media_type)
                .await?;
        }
        Ok(Digest::of(&bytes))
    }

    /// Writes a document, and checks that it came through whole.
    pub(crate) async fn put_document(
        &self,
        reference: &Reference,
        bytes: Bytes,
        media_type: &str,
    ) -> Result<Response, RegistryError> {
        let digest = Digest::of(&bytes);
        let name = reference.identifier();
        let endpoint = Endpoint::new(reference.name(), Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::PushManifest(name.clone()),
            scopes: Scopes::push(reference.name()),
        };
        let kind = HeaderValue::from_str(media_type).map_err(|_| {
            call.failed(Cause::Protocol {
                what: "a media type that no header can carry",
            })
        })?;
        let answer = self.inner.call(&call, |contact| {
            let url = contact.url(&endpoint.repository, &format!("manifests/{name}"));
            Request::new(Method::PUT, url)
                .header(CONTENT_TYPE, kind.clone())
                .body(Payload::Bytes(bytes.clone()))
        });
        let answer = answer.await?;
        match digest_header(&answer) {
            Some(found) if found != digest => Err(call.failed(Cause::DigestMismatch {
                expected: digest,
                found,
            })),
            _ => Ok(answer),
        }
    }

    pub(crate) async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        accept: Accept,
    ) -> Result<RawManifest, RegistryError> {
        let policy = endpoint.retry(self.inner.options.tries(endpoint.purpose));
        policy
            .run(|| async {
                let response = self
                    .request_manifest(Method::GET, endpoint, reference, accept)
                    .await?;
                self.read_manifest(response, endpoint, reference)
                    .await
                    .map_err(|cause| manifest_call(endpoint, reference).failed(cause))
            })
            .await
    }

    async fn request_manifest(
        &self,
        method: Method,
        endpoint: &Endpoint,
        reference: &Reference,
        accept: Accept,
    ) -> Result<Response, RegistryError> {
        let call = manifest_call(endpoint, reference);
        let rest = format!("manifests/{}", reference.identifier());
        let request = |contact: &crate::endpoint::Contact| {
            let url = contact.url(&endpoint.repository, &rest);
            Request::new(method.clone(), url).header(ACCEPT, accept.header())
        };
        if method == Method::GET {
            return self.inner.call_once(&call, request).await;
        }
        self.inner.call(&call, request).await
    }

    async fn read_manifest(
        &self,
        response: Response,
        endpoint: &Endpoint,
        reference: &Reference,
    ) -> Result<RawManifest, Cause> {
        let declared = text_header(&response, &CONTENT_TYPE);
        let promised = reference.digest().or_else(|| digest_header(&response));
        let bytes = read_body(response, LIMIT, self.inner.transport.patience()).await?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = promised.filter(|expected| *expected != digest) {
            return Err(Cause::DigestMismatch {
                expected,
                found: digest,
            });
        }
        let media_type = media_type_of(declared.as_deref(), &bytes)?;
        Ok(RawManifest {
            bytes,
            media_type,
            digest,
            endpoint: endpoint.repository.registry().to_owned(),
        })
    }
}

fn manifest_call<'a>(endpoint: &'a Endpoint, reference: &Reference) -> Call<'a> {
    Call {
        endpoint,
        operation: Operation::PullManifest(reference.identifier()),
        scopes: Scopes::pull(&endpoint.repository),
    }
}

fn head(response: &Response) -> ManifestHead {
    let size = text_header(response, &CONTENT_LENGTH).and_then(|text| text.parse().ok());
    ManifestHead {
        digest: digest_header(response),
        media_type: text_header(response, &CONTENT_TYPE).map(|text| essence(&text)),
        size,
    }
}

fn digest_header(response: &Response) -> Option<Digest> {
    let value = response.headers().get("docker-content-digest")?;
    value.to_str().ok()?.parse().ok()
}

fn text_header(response: &Response, name: &reqwest::header::HeaderName) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// A media type without its parameters.
fn essence(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

/// What a document is: by its header if that says something, else by its own words, else by its fields.
fn media_type_of(declared: Option<&str>, bytes: &[u8]) -> Result<String, Cause> {
    let declared = declared.map(essence).unwrap_or_default();
    if media_type::is_manifest(&declared) || media_type::is_index(&declared) {
        return Ok(declared);
    }
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let schema1 = [
        media_type::DOCKER_SCHEMA1,
        media_type::DOCKER_SCHEMA1_SIGNED,
    ];
    if schema1.contains(&declared.as_str()) || document["schemaVersion"] == 1 {
        return Err(Cause::Schema1);
    }
    if let Some(own) = document["mediaType"].as_str() {
        return Ok(own.to_owned());
    }
    let has = |field: &str| document.get(field).is_some();
    match (has("manifests"), has("config")) {
        (true, false) => Ok(media_type::OCI_INDEX.to_owned()),
        (false, true) => Ok(media_type::OCI_MANIFEST.to_owned()),
        _ => Err(Cause::NotAnImage {
            media_type: declared,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_found_wherever_it_stands() {
        let typed = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}"}}"#,
            media_type::OCI_INDEX
        );
        let manifest = media_type::OCI_MANIFEST;
        let with_charset = format!("{manifest}; charset=utf-8");
        let cases: [(Option<&str>, &str, &str); 5] = [
            (Some(manifest), "{}", manifest),
            (Some(&with_charset), "{}", manifest),
            (Some("application/json"), &typed, media_type::OCI_INDEX),
            (None, r#"{"manifests":[]}"#, media_type::OCI_INDEX),
            (None, r#"{"config":{},"layers":[]}"#, manifest),
        ];
        for (declared, body, expected) in cases {
            assert_eq!(media_type_of(declared, body.as_bytes()).unwrap(), expected);
        }
        let old = media_type_of(Some("application/json"), br#"{"schemaVersion":1}"#);
        assert!(matches!(old, Err(Cause::Schema1)));
        for body in ["", "[]", "<html>", r#"{"manifests":[],"config":{}}"#] {
            let found = media_type_of(Some("text/html"), body.as_bytes());
            assert!(matches!(found, Err(Cause::NotAnImage { .. })), "{body}");
        }
    }
}
