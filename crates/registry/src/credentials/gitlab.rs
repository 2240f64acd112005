//! The credentials that a GitLab job finds in its environment.

use futures::future::BoxFuture;
use yadokari_image::Repository;

use super::{Candidate, Candidates, Credential, Credentials, Environment};
use crate::Secret;

/// GitLab's own registry and dependency proxy, as a job may use them.
#[derive(Debug, Clone)]
pub struct GitLab {
    environment: Environment,
}

/// Variables that belong together: registry, user, password.
const TRIPLES: [[&str; 3]; 3] = [
    ["CI_REGISTRY", "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"],
    // The project's deploy token, where it has one for its jobs.
    ["CI_REGISTRY", "CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD"],
    [
        "CI_DEPENDENCY_PROXY_SERVER",
        "CI_DEPENDENCY_PROXY_USER",
        "CI_DEPENDENCY_PROXY_PASSWORD",
    ],
];

impl GitLab {
    /// Looks in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    fn look_up(&self, registry: &str) -> Vec<Candidate> {
        let mut found: Vec<Candidate> = TRIPLES
            .iter()
            .filter(|[server, ..]| self.names(server, registry))
            .filter_map(|[_, user, password]| self.pair(user, password))
            .collect();
        if self.names("CI_REGISTRY", registry) {
            found.extend(self.job_token());
        }
        found
    }

    fn names(&self, variable: &str, registry: &str) -> bool {
        let named = self.environment.value(variable).unwrap_or_default();
        let named = named.strip_prefix("https://").unwrap_or(named);
        let named = named.trim_end_matches('/');
        named == registry || named.strip_suffix(":443") == Some(registry)
    }

    fn pair(&self, user: &str, password: &str) -> Option<Candidate> {
        Some(Candidate {
            credential: Credential::Password {
                username: self.environment.value(user)?.to_owned(),
                password: Secret::new(self.environment.value(password)?),
            },
            source: user.to_owned(),
        })
    }

    fn job_token(&self) -> Option<Candidate> {
        Some(Candidate {
            credential: Credential::Password {
                username: "gitlab-ci-token".to_owned(),
                password: Secret::new(self.environment.value("CI_JOB_TOKEN")?),
            },
            source: "CI_JOB_TOKEN".to_owned(),
        })
    }
}

impl Credentials for GitLab {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        Box::pin(std::future::ready(Candidates {
            found: self.look_up(repository.registry()),
            failures: Vec::new(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &Environment, registry: &str) -> Vec<String> {
        let found = GitLab::new(variables.clone()).look_up(registry);
        found
            .into_iter()
            .map(|candidate| candidate.source)
            .collect()
    }

    #[test]
    fn a_deploy_token_comes_before_the_jobs_own() {
        let job = Environment::from([
            ("CI_REGISTRY", "registry.example.com"),
            ("CI_DEPLOY_USER", "gitlab+deploy-token-1"),
            ("CI_DEPLOY_PASSWORD", "d"),
            ("CI_JOB_TOKEN", "t"),
        ]);
        let found = sources(&job, "registry.example.com");
        assert_eq!(found, ["CI_DEPLOY_USER", "CI_JOB_TOKEN"]);
    }

    #[test]
    fn a_job_has_credentials_for_its_own_registry_only() {
        let job = Environment::from([
            ("CI_REGISTRY", "registry.example.com:5050"),
            ("CI_REGISTRY_USER", "gitlab-ci-token"),
            ("CI_REGISTRY_PASSWORD", "p"),
            ("CI_JOB_TOKEN", "t"),
            ("CI_DEPENDENCY_PROXY_SERVER", "gitlab.example.com:443"),
            ("CI_DEPENDENCY_PROXY_USER", "u"),
            ("CI_DEPENDENCY_PROXY_PASSWORD", "q"),
        ]);
        assert_eq!(
            sources(&job, "registry.example.com:5050"),
            ["CI_REGISTRY_USER", "CI_JOB_TOKEN"]
        );
        assert_eq!(
            sources(&job, "gitlab.example.com"),
            ["CI_DEPENDENCY_PROXY_USER"]
        );
        assert_eq!(
            sources(&job, "gitlab.example.com:443"),
            ["CI_DEPENDENCY_PROXY_USER"]
        );
        for stranger in [
            "registry.example.com",
            "registry.example.com.evil.com:5050",
            "gitlab.example.com.evil.com",
        ] {
            assert!(sources(&job, stranger).is_empty(), "{stranger}");
        }
        assert!(sources(&job, "docker.io").is_empty());
        assert!(sources(&Environment::default(), "").is_empty());
    }
}
