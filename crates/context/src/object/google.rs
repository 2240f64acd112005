//! Google Cloud Storage.

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};

use super::{ObjectStores, retry};

/// A bucket, reached and signed for as the variables say; an emulator asks for no signature.
pub(super) fn store(
    stores: &ObjectStores,
    bucket: &str,
) -> object_store::Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_http_connector(stores.connector());
    for (name, value) in stores.settings("GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(host) = stores.variable("STORAGE_EMULATOR_HOST") {
        builder = builder
            .with_base_url(&emulator(host))
            .with_skip_signature(true);
    }
    builder.build()
}

/// What to set where a bucket cannot be read for want of credentials.
pub(super) const HINT: &str = "GOOGLE_APPLICATION_CREDENTIALS names a service account's key file, GOOGLE_SERVICE_ACCOUNT_KEY holds one; \
     GOOGLE_SKIP_SIGNATURE=true reads a public bucket";

/// Whether variables say who asks, or that nobody does.
pub(super) fn has_credentials(stores: &ObjectStores) -> bool {
    [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_BEARER_TOKEN",
        "GOOGLE_SKIP_SIGNATURE",
        "STORAGE_EMULATOR_HOST",
    ]
    .iter()
    .any(|name| stores.variable(name).is_some())
}

/// The emulator's address; Google's own clients take it with and without a scheme.
fn emulator(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    }
}
