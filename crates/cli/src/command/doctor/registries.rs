//! The registries that the surroundings name: which credentials there are for each, and what it answers.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use yadokari_image::{Reference, Repository};
use yadokari_registry::credentials::named_registries;
use yadokari_registry::{Client, LoginKind, Options, RetryPolicy, Timeouts};

use crate::convert::RegistrySettings;
use crate::environment::Environment;
use crate::report::{Failure, UNUSABLE};
use crate::services::registry;

/// What is known of one registry.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its host, or the repository that was asked about.
    pub(super) name: String,
    /// Where its credentials come from, in the order in which they are tried; never the credentials.
    pub(super) credentials: Vec<String>,
    /// Sources of credentials that failed.
    pub(super) failures: Vec<String>,
    /// What it answered, or why it did not.
    pub(super) answer: Result<String, String>,
}

/// Asks the registries on the command line, or else those that variables and files name.
///
/// A name with a path is a repository, for which the right to push is tried.
pub(super) async fn ask(
    asked: &[String],
    environment: &Environment,
) -> Result<Vec<Answer>, Failure> {
    let names = match asked {
        [] => known(environment).await,
        asked => asked.to_vec(),
    };
    let options = registry::options(&RegistrySettings::default(), environment)
        .map_err(|error| Failure::from(&error))?;
    let options = Options {
        retry: RetryPolicy::once(),
        timeouts: Timeouts {
            connect: PATIENCE,
            read: PATIENCE,
            upload: PATIENCE,
        },
        ..options
    };
    let client = Client::new(options.clone()).map_err(|error| Failure::new(&error))?;
    let mut questions = Vec::new();
    for name in names {
        match Question::parse(&name) {
            Some(question) => questions.push(question),
            None if asked.is_empty() => {}
            None => return Err(unusable(&name)),
        }
    }
    let mut running = tokio::task::JoinSet::new();
    for (index, question) in questions.into_iter().enumerate() {
        let (client, options) = (client.clone(), options.clone());
        running.spawn(async move { (index, question.answer(&client, &options).await) });
    }
    let mut answers = running.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

fn unusable(name: &str) -> Failure {
    Failure {
        code: UNUSABLE,
        ..Failure::told(format!("{name:?} names no registry and no repository"))
    }
}

/// Hosts from the variables of CI systems and of mirrors, and from configuration files.
async fn known(environment: &Environment) -> Vec<String> {
    let variables = [
        "CI_REGISTRY",
        "CI_DEPENDENCY_PROXY_SERVER",
        "KANIKO_REGISTRY_MIRROR",
    ];
    let mut names: Vec<String> = variables
        .into_iter()
        .filter_map(|name| environment.text(name))
        .flat_map(|value| value.split([',', ';']))
        .map(str::to_owned)
        .collect();
    names.extend(named_registries(&registry::variables(environment)).await);
    let mut seen = BTreeSet::new();
    names
        .iter()
        .map(|name| host(name).to_owned())
        .filter(|host| !host.is_empty() && seen.insert(host.clone()))
        .collect()
}

/// The host in a name that may be a URL, as docker's configuration has it for its own registry.
fn host(name: &str) -> &str {
    let name = name.trim();
    let name = name.split_once("://").map_or(name, |(_, rest)| rest);
    name.split('/').next().unwrap_or(name)
}

/// A registry, or a repository in one.
struct Question {
    name: String,
    repository: Repository,
    /// Whether the right to push to the repository is asked for too.
    push: bool,
}

impl Question {
    fn parse(name: &str) -> Option<Self> {
        let bare = name.trim().trim_end_matches('/');
        let is_host = !bare.contains('/')
            && (bare.contains(['.', ':']) || bare == "localhost" || bare.starts_with('['));
        let repository = if is_host {
            Repository::parse(&format!("{bare}/{ANY_REPOSITORY}")).ok()?
        } else {
            bare.parse::<Reference>().ok()?.name().clone()
        };
        Some(Self {
            name: bare.to_owned(),
            repository,
            push: !is_host,
        })
    }

    async fn answer(self, client: &Client, options: &Options) -> Answer {
        let candidates = options.credentials.candidates(&self.repository).await;
        let answer = match tokio::time::timeout(PATIENCE, self.ask(client)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
        };
        Answer {
            name: self.name,
            credentials: candidates
                .found
                .into_iter()
                .map(|found| found.source)
                .collect(),
            failures: candidates
                .failures
                .iter()
                .map(ToString::to_string)
                .collect(),
            answer,
        }
    }

    async fn ask(&self, client: &Client) -> Result<String, String> {
        let greeting = client.greet(&self.repository).await;
        let greeting = greeting.map_err(|error| error.cause.to_string())?;
        let login = match greeting.login {
            None => "lets everybody in".to_owned(),
            Some(LoginKind::Basic) => "wants a password".to_owned(),
            Some(LoginKind::Token) => "wants a token".to_owned(),
            Some(kind) => format!("wants a login of another kind ({kind:?})"),
        };
        let answer = format!("answers at {}, {login}", greeting.address);
        if !self.push {
            return Ok(answer);
        }
        match client.check_push(&self.repository).await {
            Ok(()) => Ok(format!("{answer}; pushing is allowed")),
            Err(error) => Err(format!("{answer}; pushing is refused: {}", error.cause)),
        }
    }
}

impl Answer {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "registry": self.name,
            "credentials": self.credentials,
            "failures": self.failures,
            "answers": self.answer.is_ok(),
            "answer": self.answer.as_ref().unwrap_or_else(|reason| reason),
        })
    }
}

/// For one registry.
const PATIENCE: Duration = Duration::from_secs(5);

/// Credentials may be kept by repository; none is kept by this name.
const ANY_REPOSITORY: &str = "yadokari/doctor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_configuration_files_are_hosts() {
        for (name, expected) in [
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("registry.example.com:5050", "registry.example.com:5050"),
            (" http://mirror:5000 ", "mirror:5000"),
            ("quay.io/group", "quay.io"),
        ] {
            assert_eq!(host(name), expected);
        }
    }

    #[test]
    fn a_name_with_a_path_is_a_repository_to_push_to() {
        for (name, expected) in [
            (
                "registry.example.com",
                Some(("registry.example.com", false)),
            ),
            ("localhost:5000/", Some(("localhost:5000", false))),
            (
                "registry.example.com/group/app:v1",
                Some(("registry.example.com", true)),
            ),
            ("group/app", Some(("docker.io", true))),
            ("not a name", None),
        ] {
            let question = Question::parse(name);
            let found = question
                .as_ref()
                .map(|question| (question.repository.registry(), question.push));
            let found = found.map(|(host, push)| (host.trim_start_matches("index."), push));
            assert_eq!(found, expected, "{name}");
        }
    }
}
