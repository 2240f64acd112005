//! Records as tags of a repository.

use bytes::Bytes;
use yadokari_image::{Descriptor, Digest, Manifest, Reference, Repository};
use yadokari_plan::Key;
use yadokari_registry::{Accept, Client, Mount};
use yadokari_store::Blob;

use crate::note::{CONFIG_LIMIT, Note};
use crate::record::Documents;
use crate::scope::record_tag;
use crate::{CacheError, LayerBytes, Record};

/// A cache in a registry.
#[derive(Debug, Clone)]
pub(crate) struct RegistryCache {
    pub(crate) client: Client,
    repository: Repository,
}

impl RegistryCache {
    pub(crate) fn new(client: Client, repository: Repository) -> Self {
        Self { client, repository }
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) async fn lookup(
        &self,
        scope: Option<&str>,
        key: Key,
    ) -> Result<Option<Record>, CacheError> {
        match self.manifest(&record_tag(scope, key)).await? {
            Some(manifest) => Record::read(scope, key, &manifest),
            None => Ok(None),
        }
    }

    pub(crate) async fn save(
        &self,
        scope: Option<&str>,
        key: Key,
        record: &Record,
        bytes: LayerBytes<'_>,
    ) -> Result<(), CacheError> {
        self.push_layer(bytes).await?;
        let documents = record.documents(scope, key);
        self.put(&record_tag(scope, key), documents).await
    }

    pub(crate) async fn adopt(
        &self,
        scope: Option<&str>,
        key: Key,
        record: &Record,
        elsewhere: Option<&Repository>,
    ) -> Result<bool, CacheError> {
        if !self.mounted(&record.layer, elsewhere).await? {
            return Ok(false);
        }
        let documents = record.documents(scope, key);
        self.put(&record_tag(scope, key), documents).await?;
        Ok(true)
    }

    pub(crate) async fn holds(&self, record: &Record) -> Result<bool, CacheError> {
        let layer = &record.layer;
        let size = self
            .client
            .blob_size(&self.repository, layer.digest)
            .await?;
        Ok(size == Some(layer.size))
    }

    /// The configuration that carries a note.
    pub(crate) async fn note(&self, tag: &str) -> Result<Option<Vec<u8>>, CacheError> {
        let Some(manifest) = self.manifest(tag).await? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&manifest).map_err(|error| CacheError::NoNote {
            reason: error.to_string(),
        })?;
        let config = self
            .client
            .small_blob(&self.reference(tag), &manifest.config, CONFIG_LIMIT)
            .await?;
        Ok(Some(config.to_vec()))
    }

    pub(crate) async fn save_note(&self, tag: &str, note: Note) -> Result<(), CacheError> {
        let layer = Bytes::from(note.layer);
        self.push_small(&note.layer_descriptor, &layer).await?;
        self.put(tag, note.documents).await
    }

    /// The manifest under a tag; `None` if there is none.
    pub(crate) async fn manifest(&self, tag: &str) -> Result<Option<Bytes>, CacheError> {
        let found = self
            .client
            .manifest(&self.reference(tag), Accept::Manifest)
            .await;
        match found {
            Ok(manifest) => Ok(Some(manifest.bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All tags; none if the repository is not there.
    pub(crate) async fn tags(&self) -> Result<Vec<String>, CacheError> {
        match self.client.tags(&self.repository).await {
            Ok(tags) => Ok(tags),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn delete(&self, digest: Digest) -> Result<(), CacheError> {
        match self
            .client
            .delete(&self.repository.with_digest(digest))
            .await
        {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn put(&self, tag: &str, documents: Documents) -> Result<(), CacheError> {
        let config = Bytes::from(documents.config);
        self.push_small(&documents.config_descriptor, &config)
            .await?;
        self.client
            .put_manifest(
                &self.reference(tag),
                documents.manifest,
                documents.media_type,
            )
            .await?;
        Ok(())
    }

    async fn push_small(&self, descriptor: &Descriptor, bytes: &Bytes) -> Result<(), CacheError> {
        let (digest, size) = (descriptor.digest, descriptor.size);
        self.client
            .push_blob(&self.repository, digest, size, bytes)
            .await?;
        Ok(())
    }

    /// Whether the layer is there, mounted if it was not.
    async fn mounted(
        &self,
        layer: &Descriptor,
        elsewhere: Option<&Repository>,
    ) -> Result<bool, CacheError> {
        let near = elsewhere.filter(|from| {
            from.registry() == self.repository.registry() && **from != self.repository
        });
        let Some(from) = near else {
            return Ok(self
                .client
                .blob_exists(&self.repository, layer.digest)
                .await?);
        };
        match self
            .client
            .mount_blob(&self.repository, layer.digest, from)
            .await?
        {
            Mount::Mounted => Ok(true),
            Mount::Declined(session) => {
                self.client.cancel_upload(session).await;
                Ok(false)
            }
        }
    }

    async fn push_layer(&self, bytes: LayerBytes<'_>) -> Result<(), CacheError> {
        let (client, repository) = (&self.client, &self.repository);
        let Blob { digest, size, .. } = *bytes.blob;
        if client.blob_exists(repository, digest).await? {
            return Ok(());
        }
        let near = bytes.elsewhere;
        if let Some(from) = near.filter(|from| from.registry() == repository.registry()) {
            if let Mount::Declined(session) = client.mount_blob(repository, digest, from).await? {
                client
                    .continue_upload(session, digest, size, bytes.source)
                    .await?;
            }
            return Ok(());
        }
        client
            .push_blob(repository, digest, size, bytes.source)
            .await?;
        Ok(())
    }

    fn reference(&self, tag: &str) -> Reference {
        self.repository
            .with_tag(tag)
            .expect("tags of this cache are made of letters that a tag may have")
    }
}
