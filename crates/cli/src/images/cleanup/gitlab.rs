//! Removing tags by GitLab's own API.
//!
//! A job's token may delete tags there which it may not delete in the registry, and GitLab collects by itself what has no tag
//! any more.

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use yadokari_image::Repository;

use super::plan::Plan;
use crate::environment::Environment;
use crate::images::Ground;
use crate::report::Failure;

/// How often a request is made that GitLab has no answer for.
const TRIES: u32 = 5;

/// The project's registry, seen through its API.
pub(super) struct GitLab {
    client: Client,
    /// `https://gitlab.example.com/api/v4/projects/ID/registry/repositories`.
    base: String,
    /// Header and value that say who asks.
    token: (&'static str, yadokari_registry::Secret),
    location: String,
}

impl GitLab {
    /// The API, if the repository belongs to the project whose job this is.
    pub(super) fn of(
        repository: &Repository,
        ground: &Ground<'_>,
    ) -> Result<Option<Self>, Failure> {
        let Some((base, token)) = settings(repository, ground.environment) else {
            return Ok(None);
        };
        let client = yadokari_registry::confidential_client(&ground.options);
        Ok(Some(Self {
            client: client.map_err(|error| Failure::new(&error))?,
            base,
            token,
            location: format!("{}/{}", repository.registry(), repository.path()),
        }))
    }

    /// Removes the plan's tags, one after the other.
    pub(super) async fn remove(&self, plan: &Plan, ground: &Ground<'_>) -> Result<(), Failure> {
        if plan.tags.is_empty() {
            return Ok(());
        }
        let id = self.repository().await?;
        for tag in plan.tags.iter().chain(&plan.of_digests) {
            let url = format!("{}/{id}/tags/{tag}", self.base);
            let answer = self.send(Method::DELETE, &url).await?;
            let gone = answer.status() == StatusCode::NOT_FOUND;
            if !gone && !answer.status().is_success() {
                return Err(self.refused(&format!("remove {}:{tag}", self.location), &answer));
            }
            ground.tell(&format!("removed {}:{tag}", self.location));
        }
        Ok(())
    }

    /// The number that GitLab knows the repository by.
    async fn repository(&self) -> Result<u64, Failure> {
        for page in 1_u32.. {
            let url = format!("{}?per_page=100&page={page}", self.base);
            let answer = self.send(Method::GET, &url).await?;
            if !answer.status().is_success() {
                return Err(self.refused("list the project's repositories", &answer));
            }
            let listed: Vec<Value> = answer.json().await.map_err(|error| unreadable(&error))?;
            let ours = |one: &&Value| one["location"] == self.location.as_str();
            match listed.iter().find(ours).and_then(|one| one["id"].as_u64()) {
                Some(id) => return Ok(id),
                None if listed.len() < 100 => break,
                None => {}
            }
        }
        Err(Failure::told(format!(
            "GitLab does not list {} among the project's repositories",
            self.location
        )))
    }

    /// Sends a request, again and again where that may help.
    async fn send(&self, method: Method, url: &str) -> Result<Response, Failure> {
        let (header, token) = &self.token;
        let mut wait = Duration::from_millis(500);
        for last in (0..TRIES).map(|number| number + 1 == TRIES) {
            let request = self.client.request(method.clone(), url);
            let answer = request.header(*header, token.expose()).send().await;
            let passing = |status: StatusCode| {
                status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            };
            match answer {
                Ok(answer) if last || !passing(answer.status()) => return Ok(answer),
                Err(error) if last || error.is_redirect() => return Err(unreadable(&error)),
                _ => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        Err(Failure::told(format!("GitLab has no answer for {url}")))
    }

    fn refused(&self, what: &str, answer: &Response) -> Failure {
        let failure = Failure::told(format!("GitLab refuses to {what}: {}", answer.status()));
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => failure
                .with_hint("give a token that may write to the registry in GITLAB_TOKEN, or run the job as someone who may"),
            _ => failure,
        }
    }
}

fn unreadable(error: &reqwest::Error) -> Failure {
    Failure::new(error)
}

/// The API's address and a token, where GitLab's variables say that the repository is the project's.
fn settings(
    repository: &Repository,
    environment: &Environment,
) -> Option<(String, (&'static str, yadokari_registry::Secret))> {
    let image = environment.text("CI_REGISTRY_IMAGE")?;
    let name = format!("{}/{}", repository.registry(), repository.path());
    let below = name.strip_prefix(image)?;
    if !below.is_empty() && !below.starts_with('/') {
        return None;
    }
    let api = environment.text("CI_API_V4_URL")?;
    let project = environment.text("CI_PROJECT_ID")?;
    let own = environment
        .text("GITLAB_TOKEN")
        .map(|token| ("PRIVATE-TOKEN", token));
    let job = environment
        .text("CI_JOB_TOKEN")
        .map(|token| ("JOB-TOKEN", token));
    let (header, token) = own.or(job)?;
    let base = format!(
        "{}/projects/{project}/registry/repositories",
        api.trim_end_matches('/')
    );
    Some((base, (header, yadokari_registry::Secret::new(token))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_for_repositories_of_the_jobs_project() {
        let variables = [
            ("CI_API_V4_URL", "https://gitlab.example/api/v4/"),
            ("CI_PROJECT_ID", "7"),
            ("CI_REGISTRY_IMAGE", "registry.example/group/app"),
            ("CI_JOB_TOKEN", "t"),
        ];
        let header = |repository: &str, variables: &[(&str, &str)]| {
            let environment = Environment::default().with_variables(variables.iter().copied());
            let repository = Repository::parse(repository).unwrap();
            settings(&repository, &environment).map(|(base, (header, _))| {
                assert_eq!(
                    base,
                    "https://gitlab.example/api/v4/projects/7/registry/repositories"
                );
                header
            })
        };
        let own: Vec<_> = variables
            .into_iter()
            .chain([("GITLAB_TOKEN", "u")])
            .collect();
        assert_eq!(
            header("registry.example/group/app", &variables),
            Some("JOB-TOKEN")
        );
        assert_eq!(
            header("registry.example/group/app/cache", &own),
            Some("PRIVATE-TOKEN")
        );
        for other in [
            "registry.example/group/app2",
            "registry.example/group",
            "other/group/app",
        ] {
            assert_eq!(header(other, &own), None, "{other}");
        }
        assert_eq!(header("registry.example/group/app", &variables[1..]), None);
    }
}
