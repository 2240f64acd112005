//! Deleting manifests and tags.

use reqwest::Method;
use yadokari_image::Reference;

use crate::authorize::Scopes;
use crate::client::{Call, Client};
use crate::endpoint::{Endpoint, Purpose};
use crate::transport::Request;
use crate::{Operation, RegistryError};

impl Client {
    /// Deletes a manifest by its digest, with every tag on it, or just a tag if there is no digest.
    ///
    /// Many registries delete manifests only, or nothing at all, and say so with status 405 or 400.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] with the registry's answer.
    pub async fn delete(&self, reference: &Reference) -> Result<(), RegistryError> {
        let name = reference.identifier();
        let endpoint = Endpoint::new(reference.name(), Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::Delete(name.clone()),
            scopes: Scopes::delete(reference.name()),
        };
        let rest = format!("manifests/{name}");
        let answer = self.inner.call(&call, |contact| {
            Request::new(Method::DELETE, contact.url(reference.name(), &rest))
        });
        answer.await.map(drop)
    }
}
