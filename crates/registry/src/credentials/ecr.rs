//! Amazon's registries: a signed `GetAuthorizationToken` gives a password.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use serde_json::json;

use super::cloud::Found;
use super::{Candidate, Credential};
use crate::cloud::{CloudError, Clouds, aws_endpoint, json_field};
use crate::{Secret, host};

/// A registry of Amazon's: whose, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// `public.ecr.aws`
    Public,
    Private {
        account: String,
        region: String,
        /// The host of the API.
        api: String,
    },
}

/// How long Amazon's passwords live.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);

impl Place {
    /// Reads `ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com` and its relatives; `None` for other hosts.
    pub(super) fn of(host: &str) -> Option<Self> {
        if matches!(host, "public.ecr.aws" | "ecr-public.aws.com") {
            return Some(Self::Public);
        }
        let (account, rest) = host
            .split_once(".dkr.")
            .or_else(|| host.split_once(".dkr-"))?;
        let (service, rest) = rest.split_once('.')?;
        let (region, domain) = rest.split_once('.')?;
        let word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !word(account) || !word(region) {
            return None;
        }
        let api = match (service, domain) {
            ("ecr", "on.aws") => format!("ecr.{region}.api.aws"),
            ("ecr-fips", "on.aws") => format!("ecr-fips.{region}.api.aws"),
            ("ecr", domain) if DOMAINS.contains(&domain) => format!("api.ecr.{region}.{domain}"),
            ("ecr-fips", "amazonaws.com") => format!("ecr-fips.{region}.{domain}"),
            _ => return None,
        };
        Some(Self::Private {
            account: account.to_owned(),
            region: region.to_owned(),
            api,
        })
    }
}

/// The domains of Amazon's partitions.
const DOMAINS: [&str; 5] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "amazonaws.eu",
    "sc2s.sgov.gov",
    "c2s.ic.gov",
];

pub(super) async fn ask(clouds: &Clouds, registry: &str) -> Result<Found, CloudError> {
    let place = Place::of(host::without_port(registry)).unwrap_or(Place::Public);
    let (service, region, api) = match &place {
        Place::Public => (
            "ecr-public",
            "us-east-1",
            "api.ecr-public.us-east-1.amazonaws.com",
        ),
        Place::Private { region, api, .. } => ("ecr", region.as_str(), api.as_str()),
    };
    let base =
        aws_endpoint(&clouds.environment, service).unwrap_or_else(|| format!("https://{api}"));
    let mut request = request(&place, &base)?;
    let source = clouds.sign_aws(service, region, &mut request).await?;
    let answer = clouds.web.json(request).await?;
    let field = match place {
        Place::Public => "authorizationData.authorizationToken",
        Place::Private { .. } => "authorizationData.0.authorizationToken",
    };
    let token = json_field(&base, &answer, field)?;
    let (username, password) = pair(&token).ok_or_else(|| CloudError::Answer {
        host: base.clone(),
        field: field.to_owned(),
    })?;
    Ok(Found {
        candidate: Candidate {
            credential: Credential::Password { username, password },
            source: format!("Amazon ECR, with {source}"),
        },
        lifetime: LIFETIME,
    })
}

fn request(place: &Place, base: &str) -> Result<Request<Bytes>, CloudError> {
    let (target, body) = match place {
        Place::Public => ("SpencerFrontendService.GetAuthorizationToken", json!({})),
        Place::Private { account, .. } => (
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            json!({ "registryIds": [account] }),
        ),
    };
    Request::post(format!("{base}/"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .body(Bytes::from(body.to_string()))
        .map_err(|_| CloudError::Setting {
            place: "AWS_ENDPOINT_URL".to_owned(),
            reason: "not a URL".to_owned(),
        })
}

/// `AWS:password` in base64.
fn pair(token: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), Secret::new(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_told_by_the_registrys_host() {
        let api = |host: &str| match Place::of(host) {
            Some(Place::Private { region, api, .. }) => Some((region, api)),
            _ => None,
        };
        let cases = [
            (
                "1.dkr.ecr.eu-west-1.amazonaws.com",
                "eu-west-1",
                "api.ecr.eu-west-1.amazonaws.com",
            ),
            (
                "1.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "api.ecr.cn-north-1.amazonaws.com.cn",
            ),
            (
                "1.dkr.ecr-fips.us-east-1.amazonaws.com",
                "us-east-1",
                "ecr-fips.us-east-1.amazonaws.com",
            ),
            (
                "1.dkr-ecr.us-east-1.on.aws",
                "us-east-1",
                "ecr.us-east-1.api.aws",
            ),
        ];
        for (host, region, expected) in cases {
            assert_eq!(
                api(host),
                Some((region.to_owned(), expected.to_owned())),
                "{host}"
            );
        }
        assert_eq!(Place::of("public.ecr.aws"), Some(Place::Public));
    }

    #[test]
    fn hosts_that_look_like_amazons_are_not() {
        for host in [
            "1.dkr.ecr.eu-west-1.amazonaws.com.evil.com",
            "1.dkr.ecr.evil.com/amazonaws.com",
            "1.dkr.ecr.a.evil.com",
            "1.dkr.ecr.amazonaws.com",
            ".dkr.ecr.eu-west-1.amazonaws.com",
            "public.ecr.aws.evil.com",
            "evilpublic.ecr.aws",
            "amazonaws.com",
        ] {
            assert_eq!(Place::of(host), None, "{host}");
        }
    }
}
