//! Microsoft's identities: a secret, a federated token, or what the machine runs as.

use super::google::read_token;
use super::{AccessToken, CloudError, Clouds, form, get, read_named};

/// A token, and the directory it is of, where that is known.
#[derive(Debug)]
pub(crate) struct AzureToken {
    pub(crate) token: AccessToken,
    pub(crate) tenant: Option<String>,
}

const LOOKED: &str = "AZURE_CLIENT_ID with AZURE_TENANT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, the machine's managed identity";
/// A federated token proves who we are in place of a secret.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The addresses of one of Microsoft's clouds.
struct Sovereign {
    authority: &'static str,
    management: &'static str,
}

/// The resource that registries want a token for.
pub(crate) fn management(clouds: &Clouds) -> &'static str {
    sovereign(clouds).management
}

pub(super) async fn token(clouds: &Clouds, resource: &str) -> Result<AzureToken, CloudError> {
    let environment = &clouds.environment;
    let (tenant, client) = (
        environment.value("AZURE_TENANT_ID"),
        environment.value("AZURE_CLIENT_ID"),
    );
    if let (Some(tenant), Some(client)) = (tenant, client) {
        if let Some(secret) = environment.value("AZURE_CLIENT_SECRET") {
            let proof = [("client_secret", secret)];
            return from_directory(
                clouds,
                tenant,
                client,
                resource,
                &proof,
                "AZURE_CLIENT_SECRET",
            )
            .await;
        }
        if let Some(path) = environment.path("AZURE_FEDERATED_TOKEN_FILE") {
            let assertion = read_named(&path).await?;
            let proof = [
                ("client_assertion_type", ASSERTION),
                ("client_assertion", assertion.trim()),
            ];
            return from_directory(
                clouds,
                tenant,
                client,
                resource,
                &proof,
                "AZURE_FEDERATED_TOKEN_FILE",
            )
            .await;
        }
    }
    let token = from_machine(clouds, client, resource).await?;
    Ok(AzureToken {
        token,
        tenant: tenant.map(str::to_owned),
    })
}

/// Asks the directory, with something that proves that we are `client`.
async fn from_directory(
    clouds: &Clouds,
    tenant: &str,
    client: &str,
    resource: &str,
    proof: &[(&str, &str)],
    source: &str,
) -> Result<AzureToken, CloudError> {
    let authority = clouds
        .environment
        .value("AZURE_AUTHORITY_HOST")
        .unwrap_or(sovereign(clouds).authority);
    let url = format!(
        "{}/{tenant}/oauth2/v2.0/token",
        authority.trim_end_matches('/')
    );
    let scope = format!("{}/.default", resource.trim_end_matches('/'));
    let mut fields = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("scope", &scope),
    ];
    fields.extend(proof);
    let answer = clouds
        .web
        .json(form("AZURE_AUTHORITY_HOST", &url, &fields)?)
        .await?;
    Ok(AzureToken {
        token: read_token(authority, &answer, source)?,
        tenant: Some(tenant.to_owned()),
    })
}

/// Asks the metadata service, or the one that an app service names.
async fn from_machine(
    clouds: &Clouds,
    client: Option<&str>,
    resource: &str,
) -> Result<AccessToken, CloudError> {
    let environment = &clouds.environment;
    let app = environment
        .value("IDENTITY_ENDPOINT")
        .zip(environment.value("IDENTITY_HEADER"));
    let (place, base, version, header) = match app {
        Some((endpoint, secret)) => (
            "IDENTITY_ENDPOINT",
            endpoint.to_owned(),
            "2019-08-01",
            ("x-identity-header", secret),
        ),
        None => {
            let host = environment
                .value("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                .unwrap_or("http://169.254.169.254");
            let url = format!(
                "{}/metadata/identity/oauth2/token",
                host.trim_end_matches('/')
            );
            (
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                url,
                "2018-02-01",
                ("metadata", "true"),
            )
        }
    };
    let mut url = url::Url::parse(&base).map_err(|_| CloudError::Setting {
        place: place.to_owned(),
        reason: "not a URL".to_owned(),
    })?;
    url.query_pairs_mut()
        .append_pair("api-version", version)
        .append_pair("resource", resource);
    if let Some(client) = client {
        url.query_pairs_mut().append_pair("client_id", client);
    }
    match clouds
        .web
        .json_near(get(place, url.as_str(), &[header])?)
        .await
    {
        Err(CloudError::Unreachable { .. }) => Err(CloudError::NoIdentity {
            cloud: "Azure",
            looked: LOOKED,
        }),
        answer => read_token(place, &answer?, "the machine's managed identity"),
    }
}

fn sovereign(clouds: &Clouds) -> Sovereign {
    let name = clouds
        .environment
        .value("AZURE_ENVIRONMENT")
        .unwrap_or_default()
        .to_ascii_uppercase();
    let (authority, management) = match name.as_str() {
        "AZURECHINACLOUD" => (
            "https://login.chinacloudapi.cn",
            "https://management.chinacloudapi.cn",
        ),
        "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => (
            "https://login.microsoftonline.us",
            "https://management.usgovcloudapi.net",
        ),
        _ => (
            "https://login.microsoftonline.com",
            "https://management.azure.com",
        ),
    };
    Sovereign {
        authority,
        management,
    }
}
