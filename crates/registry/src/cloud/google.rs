//! Google's application default credentials.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{
    AccessToken, CloudError, Clouds, form, get, google_external, google_key, json_field, read_named,
};
use crate::Secret;

/// The right to do whatever the identity may do.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

pub(super) const CLOUD: &str = "Google";
const LOOKED: &str =
    "GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default credentials, the metadata server";
const TOKEN_SERVER: &str = "https://oauth2.googleapis.com/token";

pub(super) async fn token(clouds: &Clouds, scope: &str) -> Result<AccessToken, CloudError> {
    if let Some(path) = clouds.environment.path("GOOGLE_APPLICATION_CREDENTIALS") {
        return from_file(clouds, &path, scope).await;
    }
    if let Some(path) = well_known(clouds).filter(|path| path.is_file()) {
        return from_file(clouds, &path, scope).await;
    }
    from_metadata(clouds, scope).await
}

/// Where `gcloud auth application-default login` leaves its file.
fn well_known(clouds: &Clouds) -> Option<PathBuf> {
    let environment = &clouds.environment;
    let directory = environment
        .path("CLOUDSDK_CONFIG")
        .or_else(|| Some(environment.path("HOME")?.join(".config/gcloud")))?;
    Some(directory.join("application_default_credentials.json"))
}

async fn from_file(
    clouds: &Clouds,
    path: &std::path::Path,
    scope: &str,
) -> Result<AccessToken, CloudError> {
    let file = KeyFile::read(path).await?;
    match file.text("type")?.as_str() {
        "service_account" => google_key::token(clouds, &file, scope).await,
        "authorized_user" => from_refresh_token(clouds, &file).await,
        "external_account" => google_external::token(clouds, &file, scope).await,
        other => Err(file.wrong(format!(
            "credentials of type `{other}` are not known here, only service_account, authorized_user and external_account"
        ))),
    }
}

async fn from_refresh_token(clouds: &Clouds, file: &KeyFile) -> Result<AccessToken, CloudError> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", &file.text("client_id")?),
        ("client_secret", &file.text("client_secret")?),
        ("refresh_token", &file.text("refresh_token")?),
    ];
    let server = file.token_server();
    let answer = clouds
        .web
        .json(form(&file.place, &server, &fields)?)
        .await?;
    read_token(&server, &answer, &file.place)
}

/// The account that the machine, pod or job runs as.
async fn from_metadata(clouds: &Clouds, scope: &str) -> Result<AccessToken, CloudError> {
    let host = clouds
        .environment
        .value("GCE_METADATA_HOST")
        .unwrap_or("metadata.google.internal");
    let account =
        format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let mut url = url::Url::parse(&account).map_err(|_| CloudError::Setting {
        place: "GCE_METADATA_HOST".to_owned(),
        reason: format!("`{host}` is no host"),
    })?;
    url.query_pairs_mut().append_pair("scopes", scope);
    let request = get(
        "GCE_METADATA_HOST",
        url.as_str(),
        &[("metadata-flavor", "Google")],
    )?;
    let answer = match clouds.web.json_near(request).await {
        Err(CloudError::Unreachable { .. }) => {
            return Err(CloudError::NoIdentity {
                cloud: CLOUD,
                looked: LOOKED,
            });
        }
        answer => answer?,
    };
    read_token(host, &answer, "Google's metadata server")
}

/// The token in the usual answer of an OAuth2 server.
pub(super) fn read_token(
    server: &str,
    answer: &Value,
    source: &str,
) -> Result<AccessToken, CloudError> {
    let lifetime = answer["expires_in"]
        .as_u64()
        .or_else(|| answer["expires_in"].as_str()?.parse().ok());
    Ok(AccessToken {
        value: Secret::new(json_field(server, answer, "access_token")?),
        lifetime: Duration::from_secs(lifetime.unwrap_or(300)),
        source: source.to_owned(),
    })
}

/// A JSON file that holds an identity.
#[derive(Debug)]
pub(super) struct KeyFile {
    pub(super) place: String,
    content: Value,
}

impl KeyFile {
    async fn read(path: &std::path::Path) -> Result<Self, CloudError> {
        let text = read_named(path).await?;
        let place = path.display().to_string();
        // The parser's message names a position and no content.
        let content = serde_json::from_str(&text).map_err(|error| CloudError::Setting {
            place: place.clone(),
            reason: format!("not JSON: {error}"),
        })?;
        Ok(Self { place, content })
    }

    /// A text that has to be there; `a.b` is a field of a field.
    pub(super) fn text(&self, field: &str) -> Result<String, CloudError> {
        self.optional(field)
            .ok_or_else(|| self.wrong(format!("`{field}` is missing")))
    }

    pub(super) fn optional(&self, field: &str) -> Option<String> {
        let value = self
            .content
            .pointer(&format!("/{}", field.replace('.', "/")))?;
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    pub(super) fn value(&self, field: &str) -> &Value {
        &self.content[field]
    }

    pub(super) fn token_server(&self) -> String {
        self.optional("token_uri")
            .unwrap_or_else(|| TOKEN_SERVER.to_owned())
    }

    pub(super) fn wrong(&self, reason: String) -> CloudError {
        CloudError::Setting {
            place: self.place.clone(),
            reason,
        }
    }
}
