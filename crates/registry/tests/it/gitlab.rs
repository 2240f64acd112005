//! GitLab's dependency proxy, which is no registry of its own: it has one service, and its own users.

use std::sync::Arc;

use yadokari_registry::credentials::{Environment, GitLab};
use yadokari_registry::{Accept, Client, Options};

use crate::fake::{Answer, Fake, Request, error, image, manifest_answer, options};

/// What the proxy answers to whoever has no token.
fn challenge(request: &Request) -> Answer {
    let realm = format!("http://{}/jwt/auth", request.header("host"));
    error(401, "UNAUTHORIZED").header(
        "www-authenticate",
        format!("Bearer realm=\"{realm}\",service=\"dependency_proxy\""),
    )
}

#[tokio::test]
async fn a_job_pulls_through_the_dependency_proxy() {
    // `proxy-user:hunter2`
    const BASIC: &str = "Basic cHJveHktdXNlcjpodW50ZXIy";
    let (manifest, _) = image();
    let fake = Fake::start(move |request| {
        let authorization = request.header("authorization");
        if request.is("GET", "/jwt/auth?") {
            return match (
                request.target.contains("service=dependency_proxy"),
                authorization,
            ) {
                (true, BASIC) => Answer::new(200).body(r#"{"token":"abc"}"#),
                _ => error(401, "UNAUTHORIZED"),
            };
        }
        match authorization {
            "Bearer abc" => manifest_answer(&manifest),
            _ => challenge(request),
        }
    })
    .await;
    let job = Environment::from([
        ("CI_REGISTRY", "registry.example.com"),
        ("CI_REGISTRY_USER", "registry-user"),
        ("CI_REGISTRY_PASSWORD", "other"),
        ("CI_DEPENDENCY_PROXY_SERVER", fake.host.as_str()),
        ("CI_DEPENDENCY_PROXY_USER", "proxy-user"),
        ("CI_DEPENDENCY_PROXY_PASSWORD", "hunter2"),
    ]);
    let client = Client::new(Options {
        credentials: Arc::new(GitLab::new(job)),
        ..options()
    });
    let name = fake.reference("group/dependency_proxy/containers/alpine:latest");
    let pulled = client.unwrap().manifest(&name, Accept::default()).await;
    pulled.unwrap();
    let asked = fake.requests();
    let token = asked
        .iter()
        .find(|one| one.is("GET", "/jwt/auth?"))
        .unwrap();
    let (_, query) = token.target.split_once('?').unwrap();
    let scope = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope");
    let (_, scope) = scope.unwrap();
    assert_eq!(
        scope,
        "repository:group/dependency_proxy/containers/alpine:pull"
    );
    assert!(
        asked.iter().all(|one| !one.target.contains("hunter2")),
        "{asked:?}"
    );
}
