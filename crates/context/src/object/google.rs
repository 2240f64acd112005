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

/// The emulator's address; Google's own clients take it with and without a scheme.
fn emulator(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    }
}
