//! Where user names, passwords and tokens come from.
//!
//! A source is anything that implements [`Credentials`]; [`standard`] is the chain
//! that users of Docker, Podman, kaniko and GitLab expect. Sources get the
//! environment as a value and read files when they are asked.

mod acr;
mod cloud;
mod docker_config;
mod ecr;
mod entry;
mod environment;
mod gitlab;
mod google;
mod helper;
mod kaniko;
mod login;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use yadokari_image::Repository;

use crate::Secret;
use crate::cloud::{CloudError, Clouds};

pub use cloud::CloudRegistries;
pub use docker_config::{DockerConfig, named_registries};
pub use environment::Environment;
pub use gitlab::GitLab;
pub use helper::{erase, store};
pub use kaniko::KanikoVariables;
pub use login::with_login;

/// A source of credentials.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// Everything that might open `repository`, best first.
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates>;
}

/// What sources know about a repository.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    /// Credentials to try, in order.
    pub found: Vec<Candidate>,
    /// Sources that should have been asked and failed.
    pub failures: Vec<CredentialError>,
}

/// A credential and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The credential.
    pub credential: Credential,
    /// Its source in words for the user, such as a path or the name of a variable.
    pub source: String,
}

/// What opens a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// A user name with a password, or with a token in its place.
    Password {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token that a token server exchanges for another one.
    IdentityToken(Secret),
    /// A token that the registry itself takes.
    RegistryToken(Secret),
}

/// A source of credentials that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A config is not what Docker writes.
    #[error("{place} is not a Docker config: {reason}")]
    Format {
        /// A path, or the name of a variable.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential helper cannot be run.
    #[error("credential helper `{program}` cannot be run")]
    HelperMissing {
        /// The program's name.
        program: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// A cloud's registry is used, and the cloud does not say who we are.
    #[error("{registry}: {source}")]
    Cloud {
        /// The registry.
        registry: String,
        /// Why.
        source: CloudError,
    },
    /// A credential helper failed.
    #[error("credential helper `{program}` failed: {reason}")]
    Helper {
        /// The program's name.
        program: String,
        /// What it said.
        reason: String,
    },
    /// A kind of built-in helper that does not exist.
    #[error("unknown credential helper `{name}`, known are env, google, ecr, acr and gitlab")]
    UnknownHelper {
        /// The name as given.
        name: String,
    },
}

/// Sources asked one after the other.
#[derive(Debug, Clone, Default)]
pub struct Chain(pub Vec<Arc<dyn Credentials>>);

impl Credentials for Chain {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        Box::pin(async move {
            let mut all = Candidates::default();
            for source in &self.0 {
                let more = source.candidates(repository).await;
                all.failures.extend(more.failures);
                for candidate in more.found {
                    if !all
                        .found
                        .iter()
                        .any(|known| known.credential == candidate.credential)
                    {
                        all.found.push(candidate);
                    }
                }
            }
            all
        })
    }
}

/// One credential for one registry, such as one typed by the user.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// The registry's host with its port.
    pub registry: String,
    /// The credential and its source.
    pub candidate: Candidate,
}

impl Credentials for Fixed {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        let fits =
            crate::host::canonical(&self.registry) == crate::host::canonical(repository.registry());
        let found = fits.then(|| self.candidate.clone()).into_iter().collect();
        Box::pin(std::future::ready(Candidates {
            found,
            failures: Vec::new(),
        }))
    }
}

/// The usual sources in their usual order: Docker's and Podman's files, then the helpers that
/// `helpers` names out of `env`, `google`, `ecr`, `acr` and `gitlab` (`None` means all).
///
/// The clouds' own are asked through `clouds`, which stands in, too, for a helper program of
/// theirs that a config names and that is not installed.
///
/// # Errors
///
/// [`CredentialError::UnknownHelper`]
pub fn standard(
    environment: &Environment,
    helpers: Option<&[String]>,
    clouds: &Clouds,
) -> Result<Chain, CredentialError> {
    let mut chain: Vec<Arc<dyn Credentials>> = docker_config::usual(environment)
        .into_iter()
        .map(|config| Arc::new(config.with_clouds(clouds.clone())) as _)
        .collect();
    let all = ALL_HELPERS.map(str::to_owned);
    for name in helpers
        .unwrap_or(&all)
        .iter()
        .filter(|name| !name.is_empty())
    {
        chain.push(built_in(name, environment, clouds)?);
    }
    Ok(Chain(chain))
}

fn built_in(
    name: &str,
    environment: &Environment,
    clouds: &Clouds,
) -> Result<Arc<dyn Credentials>, CredentialError> {
    Ok(match name {
        "env" => Arc::new(KanikoVariables::new(environment.clone())),
        "google" => Arc::new(CloudRegistries::google(clouds.clone())),
        "ecr" => Arc::new(CloudRegistries::ecr(clouds.clone())),
        "acr" => Arc::new(CloudRegistries::acr(clouds.clone())),
        "gitlab" => Arc::new(GitLab::new(environment.clone())),
        _ => {
            return Err(CredentialError::UnknownHelper {
                name: name.to_owned(),
            });
        }
    })
}

const ALL_HELPERS: [&str; 5] = ["env", "google", "ecr", "acr", "gitlab"];

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn unknown_helpers_are_refused_and_none_is_fine() {
        let environment = Environment::default();
        let clouds = Clouds::new(environment.clone(), &crate::Options::default(), || {
            SystemTime::UNIX_EPOCH
        });
        let standard = |helpers: Option<&[String]>| standard(&environment, helpers, &clouds);
        assert!(standard(Some(&["vault".to_owned()])).is_err());
        assert!(standard(Some(&[String::new()])).unwrap().0.is_empty());
        assert_eq!(standard(None).unwrap().0.len(), 5);
    }

    #[tokio::test]
    async fn the_chain_keeps_the_order_and_drops_repeats() {
        let fixed = |password: &str, source: &str| {
            Arc::new(Fixed {
                registry: "r:1".to_owned(),
                candidate: Candidate {
                    credential: Credential::IdentityToken(Secret::new(password)),
                    source: source.to_owned(),
                },
            }) as Arc<dyn Credentials>
        };
        let chain = Chain(vec![fixed("1", "a"), fixed("2", "b"), fixed("1", "c")]);
        let found = chain
            .candidates(&Repository::parse("r:1/x").unwrap())
            .await
            .found;
        let sources: Vec<_> = found
            .iter()
            .map(|candidate| candidate.source.as_str())
            .collect();
        assert_eq!(sources, ["a", "b"]);
        assert!(
            chain
                .candidates(&Repository::parse("x").unwrap())
                .await
                .found
                .is_empty()
        );
    }
}
