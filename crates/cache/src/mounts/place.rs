//! Where records and their chunks are: a repository of a registry, or an OCI layout directory.

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Reference, Repository};
use yadokari_registry::{Accept, Client};

use crate::mounts::document::Documents;
use crate::mounts::error::MountError;
use crate::mounts::folder::Folder;
use crate::mounts::locks::MountLock;
use crate::mounts::store::blocking;

/// A place for records of cache mounts.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A repository; each record is a tag.
    Repository(Client, Repository),
    /// An OCI layout directory; each record is a reference in its index.
    Directory(Folder),
}

impl Place {
    /// Keeps what is in use from being cleaned away, until the answer is dropped.
    pub(crate) async fn hold(&self) -> Result<Option<MountLock>, MountError> {
        match self {
            Self::Repository(..) => Ok(None),
            Self::Directory(folder) => {
                let folder = folder.clone();
                blocking(move || folder.hold()).await
            }
        }
    }

    /// The manifest under a tag whose chunks would be left over with another one there; registries see to that
    /// themselves.
    pub(crate) async fn cleanable(&self, tag: &str) -> Result<Option<Bytes>, MountError> {
        match self {
            Self::Repository(..) => Ok(None),
            Self::Directory(_) => self.manifest(tag).await,
        }
    }

    /// Removes the chunks of a manifest that nothing needs any more.
    pub(crate) async fn clean(&self, manifest: Bytes) -> Result<(), MountError> {
        match self {
            Self::Repository(..) => Ok(()),
            Self::Directory(folder) => {
                let folder = folder.clone();
                blocking(move || folder.clean(&manifest)).await
            }
        }
    }

    /// The manifest that is saved under a tag.
    pub(crate) async fn manifest(&self, tag: &str) -> Result<Option<Bytes>, MountError> {
        match self {
            Self::Repository(client, repository) => {
                let reference = tagged(repository, tag);
                match client.manifest(&reference, Accept::Manifest).await {
                    Ok(manifest) => Ok(Some(manifest.bytes)),
                    Err(error) if error.is_not_found() => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Directory(folder) => {
                let (folder, tag) = (folder.clone(), tag.to_owned());
                blocking(move || folder.manifest(&tag)).await
            }
        }
    }

    /// A blob, whole and checked against its digest. For blobs that fit into memory.
    pub(crate) async fn blob(&self, descriptor: &Descriptor) -> Result<Bytes, MountError> {
        match self {
            Self::Repository(client, repository) => {
                let mut reader = client.blob(repository, descriptor).await?;
                let mut bytes = Vec::with_capacity(usize::try_from(descriptor.size).unwrap_or(0));
                let read = reader.read_to_end(&mut bytes).await;
                read.map_err(|source| MountError::blob(descriptor, source))?;
                Ok(bytes.into())
            }
            Self::Directory(folder) => {
                let (folder, descriptor) = (folder.clone(), descriptor.clone());
                blocking(move || folder.read(&descriptor)).await
            }
        }
    }

    /// Brings a blob to the place, unless it is there. Says whether it had to be moved.
    pub(crate) async fn put(
        &self,
        descriptor: &Descriptor,
        bytes: Bytes,
    ) -> Result<bool, MountError> {
        match self {
            Self::Repository(client, repository) => {
                let Descriptor { digest, size, .. } = descriptor;
                if client.blob_exists(repository, *digest).await? {
                    return Ok(false);
                }
                client.push_blob(repository, *digest, *size, &bytes).await?;
                Ok(true)
            }
            Self::Directory(folder) => {
                let (folder, descriptor) = (folder.clone(), descriptor.clone());
                blocking(move || folder.write(&descriptor, &bytes)).await
            }
        }
    }

    /// Makes a record the one under its tag. Its chunks are there already.
    pub(crate) async fn publish(
        &self,
        tag: &str,
        documents: Documents,
        chunks: Vec<Descriptor>,
        created: String,
    ) -> Result<(), MountError> {
        match self {
            Self::Repository(client, repository) => {
                let config = &documents.config_descriptor;
                let bytes = Bytes::from(documents.config);
                client
                    .push_blob(repository, config.digest, config.size, &bytes)
                    .await?;
                client
                    .put_manifest(
                        &tagged(repository, tag),
                        documents.manifest,
                        Family::Oci.manifest(),
                    )
                    .await?;
                Ok(())
            }
            Self::Directory(folder) => {
                let (folder, tag) = (folder.clone(), tag.to_owned());
                blocking(move || folder.publish(&tag, documents, &chunks, created)).await
            }
        }
    }
}

fn tagged(repository: &Repository, tag: &str) -> Reference {
    repository
        .with_tag(tag)
        .expect("names of mounts and scopes are written in the letters of tags")
}
