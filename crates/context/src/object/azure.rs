//! Azure Blob Storage.

use std::fmt;

use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use url::Url;

use super::{ObjectStores, retry};

/// A blob by its address, `https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AzureBlob {
    service: String,
    account: String,
    container: String,
    key: String,
    signed: bool,
}

/// Where the clouds of Azure keep their blobs.
const SUFFIXES: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.cloudapi.de",
];

impl AzureBlob {
    /// Reads an address; `None` if it is no blob's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?;
        let account = SUFFIXES
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix))?;
        let path = url.path().trim_start_matches('/');
        let (container, key) = path.split_once('/')?;
        let names_a_blob = !account.is_empty() && !container.is_empty() && !key.is_empty();
        names_a_blob.then(|| Self {
            service: url.origin().ascii_serialization(),
            account: account.to_owned(),
            container: container.to_owned(),
            key: crate::text::percent_decode(key),
            signed: url.query_pairs().any(|(name, _)| name == "sig"),
        })
    }

    /// Whether the address itself holds a signature.
    pub(crate) fn is_signed(&self) -> bool {
        self.signed
    }

    /// The blob's name in its container.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for AzureBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.service, self.container, self.key)
    }
}

/// Whether any variable says who asks.
pub(super) fn has_credentials(stores: &ObjectStores) -> bool {
    const NAMES: [&str; 9] = [
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_TOKEN",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_MSI_ENDPOINT",
    ];
    NAMES.iter().any(|name| stores.variable(name).is_some())
}

/// The container of a blob, reached and signed for as the variables say.
pub(super) fn store(
    stores: &ObjectStores,
    blob: &AzureBlob,
) -> object_store::Result<MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_retry(retry())
        .with_http_connector(stores.connector())
        .with_endpoint(blob.service.clone());
    for (name, value) in stores.settings("AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(key) = stores.variable("AZURE_STORAGE_KEY") {
        builder = builder.with_access_key(key);
    }
    builder
        .with_account(blob.account.clone())
        .with_container_name(blob.container.clone())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_told_from_other_addresses() {
        let blob = AzureBlob::parse("https://acc.blob.core.windows.net/c/d/x%20y.tar.gz").unwrap();
        assert_eq!(
            (blob.account.as_str(), blob.container.as_str()),
            ("acc", "c")
        );
        assert_eq!(blob.key(), "d/x y.tar.gz");
        assert!(!blob.is_signed());
        assert_eq!(
            blob.to_string(),
            "https://acc.blob.core.windows.net/c/d/x y.tar.gz"
        );
        let signed = AzureBlob::parse("https://a.blob.core.usgovcloudapi.net/c/x?sv=1&sig=s%3D");
        assert!(signed.unwrap().is_signed());
        for other in [
            "https://blob.core.windows.net/c/x",
            "https://a.blob.core.windows.net/c",
            "https://a.blob.core.windows.net.example.com/c/x",
            "https://example.com/a.blob.core.windows.net/x",
        ] {
            assert_eq!(AzureBlob::parse(other), None, "{other}");
        }
    }
}
