//! Archives in object stores: S3, Google Cloud Storage, Azure Blob Storage.
//!
//! Signing, tokens and resumed downloads are `object_store`'s; what is decided here is which variables and files
//! say where a store is and who asks. Every request goes through the client that was handed in, so trust and proxies are those of
//! all other downloads.

mod azure;
mod connector;
mod google;
mod profile;
mod s3;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectStore, RetryConfig};

pub(crate) use azure::AzureBlob;
pub use profile::ProfileError;

/// The way to object stores: a client, and the variables that hold their credentials.
///
/// Printing it shows no variable.
#[derive(Clone)]
pub struct ObjectStores {
    client: reqwest::Client,
    variables: BTreeMap<String, String>,
}

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The store refused, or cannot be reached.
    #[error("cannot read {address}")]
    Store {
        /// The object, as `s3://BUCKET/KEY`.
        address: String,
        /// The store's words.
        source: Box<object_store::Error>,
    },
    /// Nothing said who asks, and the machine has no credentials of its own either.
    #[error("cannot read {address} with credentials of this machine, and no others are set")]
    NoCredentials {
        /// The object.
        address: String,
        /// The variables that hold credentials.
        hint: &'static str,
        /// The answer of the machine's metadata service.
        source: Box<object_store::Error>,
    },
    /// The key is none.
    #[error("{address} names no object")]
    Key {
        /// The object.
        address: String,
        /// What is wrong with the key.
        source: object_store::path::Error,
    },
    /// The profile of AWS cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

impl ObjectError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCredentials { hint, .. } => Some(hint),
            _ => None,
        }
    }

    /// The same; where nobody said who asks, a failure of the machine's own credentials is told as that.
    fn without_credentials(self, has_credentials: bool, hint: &'static str) -> Self {
        match self {
            // What the store itself answers has kinds of its own.
            Self::Store { address, source }
                if !has_credentials && matches!(*source, object_store::Error::Generic { .. }) =>
            {
                Self::NoCredentials {
                    address,
                    hint,
                    source,
                }
            }
            other => other,
        }
    }
}

/// The bytes of an object, as they come.
pub(crate) type Bytestream = BoxStream<'static, object_store::Result<Bytes>>;

impl ObjectStores {
    /// Stores that are reached through `client`, with these variables. Nothing is read or contacted yet.
    pub fn new(
        client: reqwest::Client,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let variables = variables
            .into_iter()
            .filter(|(name, value)| ours(name) && !value.is_empty());
        Self {
            client,
            variables: variables.collect(),
        }
    }

    /// Opens `s3://bucket/key`.
    pub(crate) async fn s3(&self, bucket: &str, key: &str) -> Result<Bytestream, ObjectError> {
        let address = format!("s3://{bucket}/{key}");
        let store = s3::store(self, bucket, &address)?;
        let opened = open(&store, key, address).await;
        opened.map_err(|error| error.without_credentials(s3::has_credentials(self), s3::HINT))
    }

    /// Opens `gs://bucket/key`.
    pub(crate) async fn google(&self, bucket: &str, key: &str) -> Result<Bytestream, ObjectError> {
        let address = format!("gs://{bucket}/{key}");
        let store = google::store(self, bucket).map_err(failed(&address))?;
        let opened = open(&store, key, address).await;
        opened
            .map_err(|error| error.without_credentials(google::has_credentials(self), google::HINT))
    }

    /// Opens a blob, if there are credentials for Azure; without any, its address is downloaded as any other.
    pub(crate) async fn azure(&self, blob: &AzureBlob) -> Result<Option<Bytestream>, ObjectError> {
        if blob.is_signed() || !azure::has_credentials(self) {
            return Ok(None);
        }
        let address = blob.to_string();
        let store = azure::store(self, blob).map_err(failed(&address))?;
        open(&store, blob.key(), address).await.map(Some)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from)
    }

    /// Variables with a prefix, in the lower-case names that `object_store` knows its settings by.
    fn settings<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, &'a str)> {
        let ours = self
            .variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix));
        ours.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    fn connector(&self) -> connector::Shared {
        connector::Shared::new(self.client.clone())
    }
}

impl fmt::Debug for ObjectStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStores")
            .field("variables", &self.variables.len())
            .finish_non_exhaustive()
    }
}

/// The variables that have to do with object stores.
const PREFIXES: [&str; 6] = [
    "AWS_",
    "S3_",
    "GOOGLE_",
    "STORAGE_EMULATOR_HOST",
    "AZURE_",
    "HOME",
];

/// What `gs://BUCKET` without a key names, as in kaniko.
pub(crate) const DEFAULT_KEY: &str = "context.tar.gz";

async fn open<S: ObjectStore>(
    store: &S,
    key: &str,
    address: String,
) -> Result<Bytestream, ObjectError> {
    let key = Key::parse(key).map_err(|source| ObjectError::Key {
        address: address.clone(),
        source,
    })?;
    let found = store.get_opts(&key, GetOptions::default()).await;
    Ok(found.map_err(failed(&address))?.into_stream())
}

fn failed(address: &str) -> impl FnOnce(object_store::Error) -> ObjectError {
    let address = address.to_owned();
    move |source| ObjectError::Store {
        address,
        source: Box::new(source),
    }
}

/// A store that does not answer is given up within a minute.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: 4,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    }
}

/// Whether a variable means yes, as Go's programs read it.
fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "t" | "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_no_credential() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("PATH", "/bin")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let stores = ObjectStores::new(crate::testing::client(), variables);
        assert!(!format!("{stores:?}").contains("hunter2"));
        assert_eq!((stores.variable("PATH"), stores.variables.len()), (None, 1));
    }
}
