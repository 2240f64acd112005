//! The places that an image can be pulled from: mirrors and replacements, then its own registry.

use std::future::Future;
use std::sync::PoisonError;

use yadokari_image::Repository;

use crate::client::Inner;
use crate::endpoint::{Endpoint, Purpose};
use crate::{Mirror, RegistryError, RetryPolicy, host};

impl Inner {
    /// Asks the places of a repository in turn, the one that answered last first; all of them again if that may help.
    pub(crate) async fn at_any_place<T, F>(
        &self,
        repository: &Repository,
        mut attempt: impl FnMut(Endpoint) -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let policy = self.options.tries(Purpose::Pull);
        let mut round = 1;
        loop {
            let mut errors = Vec::new();
            for (at, endpoint) in self.pull_endpoints(repository) {
                match attempt(endpoint).await {
                    Ok(found) => {
                        self.prefer(repository, at);
                        return Ok(found);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "not at this place");
                        errors.push(error);
                    }
                }
            }
            let Some(wait) = wait_for_another_round(policy, round, &errors) else {
                return Err(most_telling(errors));
            };
            tracing::warn!(round, ?wait, "asking all places again");
            tokio::time::sleep(wait).await;
            round += 1;
        }
    }

    /// The places to pull a repository from, the one that answered last first.
    pub(crate) fn pull_endpoints(&self, repository: &Repository) -> Vec<(usize, Endpoint)> {
        let mut places: Vec<(usize, Endpoint)> =
            self.places(repository).into_iter().enumerate().collect();
        let preferred = self
            .preferred
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = preferred.get(repository).filter(|at| **at < places.len()) {
            places[..=*at].rotate_right(1);
        }
        places
    }

    fn places(&self, repository: &Repository) -> Vec<Endpoint> {
        let registry = host::canonical(repository.registry());
        let mapped = self
            .options
            .registry_map
            .get(registry)
            .into_iter()
            .flatten();
        let mirrors = self
            .options
            .mirrors
            .iter()
            .filter(|_| registry == host::DOCKER_HUB);
        let mut places: Vec<Endpoint> = mapped
            .chain(mirrors)
            .filter_map(|mirror| on_mirror(mirror, repository))
            .collect();
        if places.is_empty() || !self.options.skip_default_registry_fallback {
            places.push(Endpoint::new(repository, Purpose::Pull));
        }
        let several = places.len() > 1;
        for place in &mut places {
            place.has_alternative = several;
        }
        places
    }

    /// Remembers which of a repository's places answered.
    pub(crate) fn prefer(&self, repository: &Repository, at: usize) {
        let preferred = self.preferred.lock();
        let mut preferred = preferred.unwrap_or_else(PoisonError::into_inner);
        preferred.insert(repository.clone(), at);
    }
}

/// How long to wait before all places are asked again, if one of them may do better then.
///
/// A single place has had all its tries. The last place is the one that knows best: a plain no of it is final.
fn wait_for_another_round(
    policy: RetryPolicy,
    round: u32,
    errors: &[RegistryError],
) -> Option<std::time::Duration> {
    let (last, others) = errors.split_last()?;
    let knows_better = last.status().is_some() && !last.is_retryable();
    if others.is_empty() || knows_better {
        return None;
    }
    let may_pass = errors.iter().find(|error| error.is_retryable())?;
    // Each place is asked twice in a round.
    policy.halved().delay(round, may_pass)
}

/// The last place's error, unless only others gave an answer at all.
fn most_telling(mut errors: Vec<RegistryError>) -> RegistryError {
    let last = errors.pop().expect("there is always a place to pull from");
    let answered = |error: &RegistryError| error.status().is_some() || error.is_wrong_content();
    match errors.into_iter().rev().find(answered) {
        Some(told) if !answered(&last) => told,
        _ => last,
    }
}

fn on_mirror(mirror: &Mirror, repository: &Repository) -> Option<Endpoint> {
    Some(Endpoint {
        repository: mirror.repository(repository)?,
        purpose: Purpose::Pull,
        plain_http: mirror.plain_http(),
        has_alternative: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, Options};

    fn places(image: &str, skip: bool) -> Vec<String> {
        let client = Client::new(Options {
            mirrors: vec![Mirror::parse("m1").unwrap(), Mirror::parse("m2/p").unwrap()],
            registry_map: [("ghcr.io".to_owned(), vec![Mirror::parse("map:1").unwrap()])].into(),
            skip_default_registry_fallback: skip,
            ..Options::default()
        });
        let repository = Repository::parse(image).unwrap();
        let endpoints = client.unwrap().inner.pull_endpoints(&repository);
        endpoints
            .into_iter()
            .map(|(_, endpoint)| endpoint.repository.to_string())
            .collect()
    }

    #[test]
    fn mirrors_come_before_the_registry_itself() {
        assert_eq!(
            places("a", false),
            ["m1/library/a", "m2/p/library/a", "docker.io/library/a"]
        );
        assert_eq!(places("a", true), ["m1/library/a", "m2/p/library/a"]);
        assert_eq!(places("ghcr.io/a", false), ["map:1/a", "ghcr.io/a"]);
        assert_eq!(places("quay.io/a", true), ["quay.io/a"]);
    }

    #[test]
    fn the_place_that_answered_is_asked_first() {
        let client = Client::new(Options {
            mirrors: vec![Mirror::parse("m1").unwrap(), Mirror::parse("m2").unwrap()],
            ..Options::default()
        })
        .unwrap();
        let repository = Repository::parse("a").unwrap();
        client.inner.prefer(&repository, 1);
        let order: Vec<usize> = client
            .inner
            .pull_endpoints(&repository)
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(order, [1, 0, 2]);
    }
}
