//! Google's registries take an access token as password.

use super::cloud::Found;
use super::{Candidate, Credential};
use crate::cloud::{CloudError, Clouds, GOOGLE_SCOPE};

/// Whether a host is a Container or Artifact Registry.
pub(super) fn serves(host: &str) -> bool {
    host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with("-docker.pkg.dev")
}

pub(super) async fn ask(clouds: &Clouds) -> Result<Found, CloudError> {
    let token = clouds.google_token(GOOGLE_SCOPE).await?;
    Ok(Found {
        candidate: Candidate {
            credential: Credential::Password {
                username: "oauth2accesstoken".to_owned(),
                password: token.value,
            },
            source: format!("Google, with {}", token.source),
        },
        lifetime: token.lifetime,
    })
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn googles_registries_are_told_by_their_hosts() {
        for host in [
            "gcr.io",
            "eu.gcr.io",
            "mirror.gcr.io",
            "europe-west1-docker.pkg.dev",
        ] {
            assert!(serves(host), "{host}");
        }
        for host in [
            "evilgcr.io",
            "gcr.io.evil.com",
            "docker.pkg.dev",
            "a-docker.pkg.dev.evil.com",
        ] {
            assert!(!serves(host), "{host}");
        }
    }
}
