//! Workload identity federation: the token of another party, such as a CI job, is exchanged for Google's.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::google::{KeyFile, SCOPE, read_token};
use super::{AccessToken, CloudError, Clouds, form, get, json_field, read_named};
use crate::Secret;

pub(super) async fn token(
    clouds: &Clouds,
    file: &KeyFile,
    scope: &str,
) -> Result<AccessToken, CloudError> {
    let Some(account) = file.optional("service_account_impersonation_url") else {
        return federated(clouds, file, scope).await;
    };
    let federated = federated(clouds, file, SCOPE).await?;
    impersonate(clouds, file, &account, &federated, scope).await
}

/// The token of the pool that trusts the other party.
async fn federated(
    clouds: &Clouds,
    file: &KeyFile,
    scope: &str,
) -> Result<AccessToken, CloudError> {
    let subject = subject_token(clouds, file).await?;
    let server = file.text("token_url")?;
    let fields = [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        ),
        ("audience", &file.text("audience")?),
        ("scope", scope),
        ("subject_token_type", &file.text("subject_token_type")?),
        ("subject_token", subject.expose()),
    ];
    let answer = clouds
        .web
        .json(form(&file.place, &server, &fields)?)
        .await?;
    read_token(&server, &answer, &file.place)
}

/// The other party's token, from a file or a URL.
async fn subject_token(clouds: &Clouds, file: &KeyFile) -> Result<Secret, CloudError> {
    let text = if let Some(path) = file.optional("credential_source.file") {
        read_named(path.as_ref()).await?
    } else if let Some(url) = file.optional("credential_source.url") {
        fetched(clouds, file, &url).await?
    } else {
        return Err(file.wrong(
            "`credential_source` has neither `file` nor `url`; other sources are not known here"
                .to_owned(),
        ));
    };
    match file.optional("credential_source.format.subject_token_field_name") {
        None => Ok(Secret::new(text.trim())),
        Some(field) => {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            json_field("credential_source", &value, &field).map(Secret::new)
        }
    }
}

async fn fetched(clouds: &Clouds, file: &KeyFile, url: &str) -> Result<String, CloudError> {
    let headers = file.value("credential_source")["headers"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
        .collect();
    let response = clouds.web.send(get(&file.place, url, &headers)?).await?;
    if !response.status().is_success() {
        return Err(file.wrong(format!(
            "the URL of `credential_source` answers with status {}",
            response.status()
        )));
    }
    Ok(String::from_utf8_lossy(response.body()).into_owned())
}

/// The token of a service account that the pool's identity may act for.
async fn impersonate(
    clouds: &Clouds,
    file: &KeyFile,
    url: &str,
    federated: &AccessToken,
    scope: &str,
) -> Result<AccessToken, CloudError> {
    let mut request: Request<Bytes> = form(&file.place, url, &[])?;
    *request.body_mut() = Bytes::from(json!({"scope": [scope]}).to_string());
    let mut bearer = http::HeaderValue::from_str(&format!("Bearer {}", federated.value.expose()))
        .map_err(|_| file.wrong("the exchanged token is no token".to_owned()))?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    let answer = clouds.web.json(request).await?;
    Ok(AccessToken {
        value: Secret::new(json_field(url, &answer, "accessToken")?),
        // The answer dates the end; such tokens live an hour unless something else is asked for.
        lifetime: Duration::from_secs(3600),
        source: file.place.clone(),
    })
}
