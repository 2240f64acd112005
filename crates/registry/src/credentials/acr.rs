//! Azure's registries exchange a token of the directory for one of their own.

use std::time::Duration;

use super::cloud::Found;
use super::{Candidate, Credential};
use crate::Secret;
use crate::cloud::{CloudError, Clouds, form, json_field, management};

/// How long the registry's tokens live, at least.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Whether a host is an Azure Container Registry.
pub(super) fn serves(host: &str) -> bool {
    [".azurecr.io", ".azurecr.cn", ".azurecr.us"]
        .iter()
        .any(|domain| host.ends_with(domain))
}

pub(super) async fn ask(clouds: &Clouds, registry: &str) -> Result<Found, CloudError> {
    let identity = clouds.azure_token(management(clouds)).await?;
    let mut fields = vec![
        ("grant_type", "access_token"),
        ("service", registry),
        ("access_token", identity.token.value.expose()),
    ];
    fields.extend(identity.tenant.as_deref().map(|tenant| ("tenant", tenant)));
    let answer = clouds
        .web
        .json(exchange(clouds, registry, &fields)?)
        .await?;
    let token = json_field(registry, &answer, "refresh_token")?;
    Ok(Found {
        candidate: Candidate {
            credential: Credential::IdentityToken(Secret::new(token)),
            source: format!("Azure, with {}", identity.token.source),
        },
        lifetime: LIFETIME,
    })
}

fn exchange(
    clouds: &Clouds,
    registry: &str,
    fields: &[(&str, &str)],
) -> Result<http::Request<bytes::Bytes>, CloudError> {
    let secure = form(
        registry,
        &format!("https://{registry}/oauth2/exchange"),
        fields,
    )?;
    if !clouds.web.is_plain(registry) {
        return Ok(secure);
    }
    // Plain HTTP has been allowed for this registry by the user, and is all that it may speak.
    let (mut parts, body) = secure.into_parts();
    parts.uri = format!("http://{registry}/oauth2/exchange")
        .parse()
        .map_err(|_| CloudError::Setting {
            place: registry.to_owned(),
            reason: "not a host".to_owned(),
        })?;
    Ok(http::Request::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn azures_registries_are_told_by_their_hosts() {
        assert!(serves("x.azurecr.io") && serves("x.azurecr.cn") && serves("x.azurecr.us"));
        for host in ["azurecr.io", "evilazurecr.io", "x.azurecr.io.evil.com"] {
            assert!(!serves(host), "{host}");
        }
    }
}
