//! Records as tags of a repository.

use bytes::Bytes;
use yadokari_image::Repository;
use yadokari_plan::Key;
use yadokari_registry::{Accept, Client, Mount};
use yadokari_store::Blob;

use crate::{CacheError, Record};

/// A cache in a registry.
#[derive(Debug, Clone)]
pub(crate) struct RegistryCache {
    client: Client,
    repository: Repository,
}

impl RegistryCache {
    pub(crate) fn new(client: Client, repository: Repository) -> Self {
        Self { client, repository }
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) async fn lookup(&self, key: Key) -> Result<Option<Record>, CacheError> {
        let reference = self.reference(key);
        match self.client.manifest(&reference, Accept::Manifest).await {
            Ok(manifest) => Record::read(key, &manifest.bytes),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn save(
        &self,
        key: Key,
        record: &Record,
        blob: &Blob,
        elsewhere: Option<&Repository>,
    ) -> Result<(), CacheError> {
        self.push_layer(blob, elsewhere).await?;
        let documents = record.documents(key);
        let config = &documents.config_descriptor;
        let bytes = Bytes::from(documents.config);
        self.client
            .push_blob(&self.repository, config.digest, config.size, &bytes)
            .await?;
        self.client
            .put_manifest(
                &self.reference(key),
                documents.manifest,
                documents.media_type,
            )
            .await?;
        Ok(())
    }

    async fn push_layer(
        &self,
        blob: &Blob,
        elsewhere: Option<&Repository>,
    ) -> Result<(), CacheError> {
        if self
            .client
            .blob_exists(&self.repository, blob.digest)
            .await?
        {
            return Ok(());
        }
        if let Some(from) = elsewhere.filter(|from| from.registry() == self.repository.registry()) {
            match self
                .client
                .mount_blob(&self.repository, blob.digest, from)
                .await?
            {
                Mount::Mounted => return Ok(()),
                Mount::Declined(session) => {
                    self.client
                        .continue_upload(session, blob.digest, blob.size, &blob.path)
                        .await?;
                    return Ok(());
                }
            }
        }
        self.client
            .push_blob(&self.repository, blob.digest, blob.size, &blob.path)
            .await?;
        Ok(())
    }

    fn reference(&self, key: Key) -> yadokari_image::Reference {
        self.repository
            .with_tag(&key.to_string())
            .expect("64 hexadecimal digits are a tag")
    }
}
