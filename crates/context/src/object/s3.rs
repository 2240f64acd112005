//! S3 and what speaks like it.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use url::{Host, Url};

use super::profile::Profile;
use super::{ObjectError, ObjectStores, failed, is_true, retry};

/// A bucket, reached and signed for as the variables say.
pub(super) fn store(
    stores: &ObjectStores,
    bucket: &str,
    address: &str,
) -> Result<AmazonS3, ObjectError> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_http_connector(stores.connector());
    for (name, value) in from_profile(stores)? {
        builder = builder.with_config(name, value);
    }
    for (name, value) in stores.settings("AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = stores.variable("S3_ENDPOINT") {
        let path_style = stores.variable("S3_FORCE_PATH_STYLE").is_some_and(is_true);
        let virtual_host = (!path_style)
            .then(|| with_bucket(endpoint, bucket))
            .flatten();
        builder = builder
            .with_virtual_hosted_style_request(virtual_host.is_some())
            .with_endpoint(virtual_host.unwrap_or_else(|| with_scheme(endpoint)));
    }
    builder.build().map_err(failed(address))
}

/// What to set where a bucket cannot be read for want of credentials.
pub(super) const HINT: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or AWS_WEB_IDENTITY_TOKEN_FILE with \
     AWS_ROLE_ARN; AWS_SKIP_SIGNATURE=true reads a public bucket";

/// Whether variables or a profile say who asks, or that nobody does.
pub(super) fn has_credentials(stores: &ObjectStores) -> bool {
    let nobody = stores.variable("AWS_SKIP_SIGNATURE").is_some_and(is_true);
    let keys = || Profile::load(stores).and_then(|profile| profile.credentials());
    nobody
        || NAMED.iter().any(|name| stores.variable(name).is_some())
        || keys().is_ok_and(|keys| !keys.is_empty())
}

/// The variables that say who asks.
const NAMED: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Keys, role and region of the profile that is in use. Keys in variables win, as does a role that a variable names.
fn from_profile(stores: &ObjectStores) -> Result<Vec<(AmazonS3ConfigKey, String)>, ObjectError> {
    let profile = Profile::load(stores)?;
    let mut settings = vec![];
    if NAMED.iter().all(|name| stores.variable(name).is_none()) {
        settings.extend(profile.credentials()?);
    }
    let placed = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    if placed.iter().all(|name| stores.variable(name).is_none()) {
        settings.extend(profile.region());
    }
    Ok(settings)
}

/// The endpoint with the bucket in its host name; an address has no names below it.
fn with_bucket(endpoint: &str, bucket: &str) -> Option<String> {
    let mut url = Url::parse(&with_scheme(endpoint)).ok()?;
    let host = match url.host()? {
        Host::Domain(name) if name != "localhost" => format!("{bucket}.{name}"),
        _ => return None,
    };
    url.set_host(Some(&host)).ok()?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") {
        endpoint.to_owned()
    } else {
        format!("https://{endpoint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_goes_into_names_and_not_into_addresses() {
        for (endpoint, expected) in [
            ("https://s3.example.com", Some("https://b.s3.example.com")),
            ("s3.example.com/", Some("https://b.s3.example.com")),
            ("http://minio:9000", Some("http://b.minio:9000")),
            ("http://127.0.0.1:9000", None),
            ("http://[::1]:9000", None),
            ("http://localhost:9000", None),
        ] {
            assert_eq!(
                with_bucket(endpoint, "b").as_deref(),
                expected,
                "{endpoint}"
            );
        }
    }
}
