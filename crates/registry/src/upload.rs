//! Pushing blobs, by uploading or by mounting them.

use reqwest::{Method, StatusCode};
use yadokari_image::{Digest, Repository};

use crate::authorize::Scopes;
use crate::client::{Call, Client, with_query};
use crate::endpoint::{Endpoint, Purpose};
use crate::transport::Request;
use crate::uploading::{Place, Upload};
use crate::{Operation, RegistryError, Source};

/// What a registry did when asked to mount a blob.
#[derive(Debug)]
pub enum Mount {
    /// The blob is there now.
    Mounted,
    /// It has to be pushed; give this to [`Client::continue_upload`].
    Declined(UploadSession),
}

/// An upload that was begun, or is yet to be.
#[derive(Debug)]
pub struct UploadSession {
    repository: Repository,
    place: Option<Place>,
}

impl Client {
    /// Pushes a blob of `size` bytes, streaming it from `source`.
    ///
    /// The source is read in one request. If the registry refuses that, or the connection
    /// breaks, the rest goes in pieces of [`crate::Options::chunk_size`] from where the registry is;
    /// in smaller ones if these fail, too, because a proxy with a limit may just hang up.
    /// Whether the blob is there already is not asked before: see [`Client::blob_exists`].
    ///
    /// # Errors
    ///
    /// [`RegistryError`]; [`crate::Cause::Source`] if the source fails or is shorter than `size`.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        size: u64,
        source: &dyn Source,
    ) -> Result<(), RegistryError> {
        let session = UploadSession {
            repository: repository.clone(),
            place: None,
        };
        self.continue_upload(session, digest, size, source).await
    }

    /// Mounts a blob from another repository of the same registry.
    ///
    /// Registries may decline for any reason: then, and if the other repository may not be
    /// read, the blob has to be pushed, for which an upload may already be open.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the registry cannot be asked.
    pub async fn mount_blob(
        &self,
        repository: &Repository,
        digest: Digest,
        from: &Repository,
    ) -> Result<Mount, RegistryError> {
        let declined = |place| {
            Ok(Mount::Declined(UploadSession {
                repository: repository.clone(),
                place,
            }))
        };
        if repository.registry() != from.registry() {
            return declined(None);
        }
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let call = Call {
            endpoint: &endpoint,
            operation: Operation::MountBlob(digest),
            scopes: Scopes::mount(repository, from),
        };
        let answer = self.inner.call(&call, |contact| {
            let url = contact.url(repository, "blobs/uploads/");
            let url = with_query(url, "mount", &digest.to_string());
            Request::new(Method::POST, with_query(url, "from", from.path()))
        });
        match answer.await {
            Ok(response) if response.status() == StatusCode::CREATED => {
                tracing::debug!(%digest, %from, to = %repository, "mounted a blob");
                self.inner.held.note(repository, digest);
                Ok(Mount::Mounted)
            }
            Ok(response) => declined(Place::begun(&response).ok()),
            Err(error) if matches!(error.status(), Some(400..=405)) => declined(None),
            Err(error) => Err(error),
        }
    }

    /// Pushes a blob that could not be mounted; otherwise as [`Client::push_blob`].
    ///
    /// # Errors
    ///
    /// As [`Client::push_blob`].
    pub async fn continue_upload(
        &self,
        session: UploadSession,
        digest: Digest,
        size: u64,
        source: &dyn Source,
    ) -> Result<(), RegistryError> {
        let endpoint = Endpoint::new(&session.repository, Purpose::Push);
        let call = push_call(&endpoint, Operation::PushBlob(digest));
        let blob = (digest, size);
        let mut upload = Upload::new(self, call, blob, source, session.place);
        upload.run().await?;
        self.inner.held.note(&session.repository, digest);
        Ok(())
    }

    /// Gives up an upload. The registry forgets it sooner or later in any case, so errors are not reported.
    pub async fn cancel_upload(&self, session: UploadSession) {
        if let Some(place) = session.place {
            let endpoint = Endpoint::new(&session.repository, Purpose::Push);
            let call = push_call(&endpoint, Operation::CheckPush);
            let answer = self.inner.call_once(&call, |_| {
                Request::new(Method::DELETE, place.location.clone())
            });
            if let Err(error) = answer.await {
                tracing::debug!(%error, "cancelling an upload");
            }
        }
    }

    /// Asks whether pushing to a repository is allowed, by beginning an upload and giving it up.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] as pushing would give it.
    pub async fn check_push(&self, repository: &Repository) -> Result<(), RegistryError> {
        let endpoint = Endpoint::new(repository, Purpose::Push);
        let call = push_call(&endpoint, Operation::CheckPush);
        let place = self.begin(&call).await?;
        let session = UploadSession {
            repository: repository.clone(),
            place: Some(place),
        };
        self.cancel_upload(session).await;
        Ok(())
    }

    pub(crate) async fn begin(&self, call: &Call<'_>) -> Result<Place, RegistryError> {
        let repository = &call.endpoint.repository;
        let answer = self.inner.call(call, |contact| {
            Request::new(Method::POST, contact.url(repository, "blobs/uploads/"))
        });
        Place::begun(&answer.await?).map_err(|cause| call.failed(cause))
    }
}

fn push_call(endpoint: &Endpoint, operation: Operation) -> Call<'_> {
    Call {
        endpoint,
        operation,
        scopes: Scopes::push(&endpoint.repository),
    }
}
