//! The registries of Amazon, Google and Microsoft, opened with the identity that we have there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use yadokari_image::Repository;

use super::{Candidate, Candidates, CredentialError, Credentials, acr, ecr, google};
use crate::cloud::{CloudError, Clouds};
use crate::host;

/// Whose registry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Amazon,
    Google,
    Microsoft,
}

/// A source of credentials for the registries of one cloud.
///
/// What it found is kept until it is about to expire, so that many repositories cost one exchange.
#[derive(Debug, Clone)]
pub struct CloudRegistries {
    owner: Owner,
    clouds: Clouds,
    kept: Arc<tokio::sync::Mutex<HashMap<String, Kept>>>,
}

#[derive(Debug, Clone)]
struct Kept {
    until: Instant,
    outcome: Result<Candidate, CloudError>,
}

/// A credential, and how long it is good for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) candidate: Candidate,
    pub(super) lifetime: Duration,
}

/// How long a failure is remembered: a token server that is down comes back.
const FAILURE_LIVES: Duration = Duration::from_secs(60);
/// What is renewed before its end, and no later than this.
const LONGEST: Duration = Duration::from_secs(3600);

impl CloudRegistries {
    /// Amazon's Elastic Container Registry, public and private.
    #[must_use]
    pub fn ecr(clouds: Clouds) -> Self {
        Self::of(Owner::Amazon, clouds)
    }

    /// Google's Container and Artifact Registry.
    #[must_use]
    pub fn google(clouds: Clouds) -> Self {
        Self::of(Owner::Google, clouds)
    }

    /// Azure's Container Registry.
    #[must_use]
    pub fn acr(clouds: Clouds) -> Self {
        Self::of(Owner::Microsoft, clouds)
    }

    /// The source that stands in for a cloud's helper program, by the name that a Docker config gives it.
    pub(super) fn in_place_of(helper: &str, clouds: &Clouds) -> Option<Self> {
        let owner = match helper {
            "ecr-login" => Owner::Amazon,
            "gcr" | "gcloud" => Owner::Google,
            "acr-env" | "acr-login" | "acr-linux" | "acr" => Owner::Microsoft,
            _ => return None,
        };
        Some(Self::of(owner, clouds.clone()))
    }

    fn of(owner: Owner, clouds: Clouds) -> Self {
        Self {
            owner,
            clouds,
            kept: Arc::default(),
        }
    }

    fn serves(&self, registry: &str) -> bool {
        let host = host::without_port(registry);
        match self.owner {
            Owner::Amazon => ecr::Place::of(host).is_some(),
            Owner::Google => google::serves(host),
            Owner::Microsoft => acr::serves(host),
        }
    }

    async fn look_up(&self, registry: &str) -> Candidates {
        let mut all = Candidates::default();
        if !self.serves(registry) {
            return all;
        }
        match self.outcome(registry).await {
            Ok(candidate) => all.found.push(candidate),
            Err(source) => all.failures.push(CredentialError::Cloud {
                registry: registry.to_owned(),
                source,
            }),
        }
        all
    }

    async fn outcome(&self, registry: &str) -> Result<Candidate, CloudError> {
        let mut kept = self.kept.lock().await;
        if let Some(known) = kept
            .get(registry)
            .filter(|known| known.until > Instant::now())
        {
            return known.outcome.clone();
        }
        let (outcome, lifetime) = match self.ask(registry).await {
            Ok(found) => (
                Ok(found.candidate),
                found.lifetime.mul_f32(0.8).min(LONGEST),
            ),
            Err(error) => (Err(error), FAILURE_LIVES),
        };
        let until = Instant::now() + lifetime;
        kept.insert(
            registry.to_owned(),
            Kept {
                until,
                outcome: outcome.clone(),
            },
        );
        outcome
    }

    async fn ask(&self, registry: &str) -> Result<Found, CloudError> {
        match self.owner {
            Owner::Amazon => ecr::ask(&self.clouds, registry).await,
            Owner::Google => google::ask(&self.clouds).await,
            Owner::Microsoft => acr::ask(&self.clouds, registry).await,
        }
    }
}

impl Credentials for CloudRegistries {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        Box::pin(self.look_up(repository.registry()))
    }
}
