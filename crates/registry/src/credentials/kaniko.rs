//! `KANIKO_<HOST>_USER` and `KANIKO_<HOST>_PASSWORD`.

use futures::future::BoxFuture;
use yadokari_image::Repository;

use super::{Candidate, Candidates, Credential, Credentials, Environment};
use crate::{Secret, host};

/// Credentials in variables named after the registry's host.
///
/// The host is written in capitals with `_` for `.`, `-` and `:`; leading labels may be left out, so
/// `KANIKO_EXAMPLE_COM_USER` serves `registry.example.com`. The longest name wins.
#[derive(Debug, Clone)]
pub struct KanikoVariables {
    environment: Environment,
}

impl KanikoVariables {
    /// Looks in `environment`.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        Self { environment }
    }

    fn look_up(&self, registry: &str) -> Option<Candidate> {
        names(registry).into_iter().find_map(|name| {
            let user = format!("KANIKO_{name}_USER");
            let username = self.environment.value(&user)?.to_owned();
            let password = self.environment.value(&format!("KANIKO_{name}_PASSWORD"))?;
            Some(Candidate {
                credential: Credential::Password {
                    username,
                    password: Secret::new(password),
                },
                source: user,
            })
        })
    }
}

impl Credentials for KanikoVariables {
    fn candidates<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Candidates> {
        let found = self.look_up(repository.registry()).into_iter().collect();
        Box::pin(std::future::ready(Candidates {
            found,
            failures: Vec::new(),
        }))
    }
}

/// The names a host goes by in variables, longest first.
fn names(registry: &str) -> Vec<String> {
    let registry = match host::canonical(registry) {
        host::DOCKER_HUB => "index.docker.io",
        _ => registry,
    };
    let plain = host::without_port(registry);
    let mut names = vec![in_capitals(registry)];
    let mut rest = Some(plain);
    while let Some(name) = rest {
        names.push(in_capitals(name));
        rest = name.split_once('.').map(|(_, rest)| rest);
    }
    names.dedup();
    names
}

fn in_capitals(name: &str) -> String {
    name.to_ascii_uppercase().replace(['.', '-', ':'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_labels_may_be_left_out() {
        let expected = [
            "A_B_EXAMPLE_COM_5000",
            "A_B_EXAMPLE_COM",
            "EXAMPLE_COM",
            "COM",
        ];
        assert_eq!(names("a-b.example.com:5000"), expected);
        assert_eq!(names("docker.io"), ["INDEX_DOCKER_IO", "DOCKER_IO", "IO"]);
    }

    #[test]
    fn both_variables_are_needed() {
        let half = Environment::from([("KANIKO_R_IO_USER", "u")]);
        assert_eq!(KanikoVariables::new(half).look_up("r.io"), None);
        let both = Environment::from([("KANIKO_R_IO_USER", "u"), ("KANIKO_R_IO_PASSWORD", "p")]);
        let found = KanikoVariables::new(both).look_up("x.r.io").unwrap();
        assert_eq!(found.source, "KANIKO_R_IO_USER");
    }
}
