//! Credentials: which are sent, where to, and what happens when they are refused.

use std::sync::Arc;

use yadokari_image::Reference;
use yadokari_registry::credentials::{Chain, Fixed};
use yadokari_registry::{
    Accept, Candidate, Cause, Client, Credential, Credentials, Mount, Options, Secret,
};

use crate::fake::{Answer, Fake, Request, error, image, manifest_answer, options};

fn password(username: &str) -> Credential {
    Credential::Password {
        username: username.to_owned(),
        password: Secret::new("secret"),
    }
}

/// A client with these credentials for a registry, in order.
fn client(fake: &Fake, credentials: Vec<Credential>) -> Client {
    let fixed = credentials.into_iter().enumerate().map(|(at, credential)| {
        Arc::new(Fixed {
            registry: fake.host.clone(),
            candidate: Candidate {
                credential,
                source: format!("source {at}"),
            },
        }) as Arc<dyn Credentials>
    });
    Client::new(Options {
        credentials: Arc::new(Chain(fixed.collect())),
        ..options()
    })
    .unwrap()
}

/// `Basic` for `good` and the password of [`password`].
const GOOD: &str = "Basic Z29vZDpzZWNyZXQ=";

fn own_host(request: &Request) -> String {
    request.header("host").to_owned()
}

fn challenge(request: &Request) -> Answer {
    let realm = format!("http://{}/token", own_host(request));
    error(401, "UNAUTHORIZED").header(
        "www-authenticate",
        format!("Bearer realm=\"{realm}\",service=\"fake\""),
    )
}

#[tokio::test]
async fn basic_credentials_are_tried_in_order() {
    let (manifest, _) = image();
    let fake = Fake::start(move |request| match request.header("authorization") {
        GOOD => manifest_answer(&manifest),
        _ => error(401, "UNAUTHORIZED").header("www-authenticate", "Basic realm=\"x\""),
    })
    .await;
    let client = client(&fake, vec![password("bad"), password("good")]);
    for _ in 0..2 {
        client
            .manifest(&fake.reference("a"), Accept::default())
            .await
            .unwrap();
    }
    // The one that worked is used at once the second time.
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn after_every_credential_anonymous_access_is_tried() {
    let (manifest, _) = image();
    let fake = Fake::start(move |request| {
        match (request.target.as_str(), request.header("authorization")) {
            ("/v2/", _) => error(401, "UNAUTHORIZED").header("www-authenticate", "Basic"),
            (_, "") => manifest_answer(&manifest),
            _ => error(403, "DENIED"),
        }
    })
    .await;
    let client = client(&fake, vec![password("a"), password("b")]);
    client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap();
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn refused_credentials_are_named_but_not_shown() {
    let fake =
        Fake::start(|_| error(401, "UNAUTHORIZED").header("www-authenticate", "Basic")).await;
    let client = client(&fake, vec![password("bad")]);
    let failure = client.check_push(&fake.repository("a")).await.unwrap_err();
    let text = format!("{failure} {failure:?} {client:?}");
    assert!(
        text.contains("source 0") && text.contains("because of UNAUTHORIZED"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert!(failure.hint().unwrap().contains("password"));
    assert!(!failure.is_retryable());
}

#[tokio::test]
async fn a_token_is_fetched_once_for_many_requests() {
    let (manifest, _) = image();
    let fake = Fake::start(move |request| match request {
        request if request.is("GET", "/token") => {
            assert_eq!(request.header("authorization"), GOOD);
            assert!(
                request
                    .target
                    .contains("service=fake&scope=repository%3Aa%3Apull&"),
                "{}",
                request.target
            );
            Answer::new(200).body(r#"{"token":"t1","expires_in":300}"#)
        }
        request if request.header("authorization") == "Bearer t1" => manifest_answer(&manifest),
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    let reference = fake.reference("a");
    let pulls = (0..8).map(|_| client.manifest(&reference, Accept::default()));
    for result in futures::future::join_all(pulls).await {
        result.unwrap();
    }
    let tokens = fake
        .requests()
        .iter()
        .filter(|request| request.is("GET", "/token"))
        .count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_token_that_goes_stale_is_replaced() {
    let (manifest, _) = image();
    let mut number = 0;
    let mut uses = 0;
    let fake = Fake::start(move |request| match request {
        request if request.is("GET", "/token") => {
            number += 1;
            uses = 0;
            Answer::new(200).body(format!(
                r#"{{"access_token":"t{number}","expires_in":3600}}"#
            ))
        }
        request if request.header("authorization") == format!("Bearer t{number}") && uses < 2 => {
            uses += 1;
            manifest_answer(&manifest)
        }
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    for _ in 0..6 {
        client
            .manifest(&fake.reference("a"), Accept::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_expired_token_is_not_sent() {
    let (manifest, _) = image();
    let fake = Fake::start(move |request| match request {
        request if request.is("GET", "/token") => {
            Answer::new(200).body(r#"{"token":"t","expires_in":0}"#)
        }
        request if request.header("authorization") == "Bearer t" => manifest_answer(&manifest),
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    for _ in 0..2 {
        client
            .manifest(&fake.reference("a"), Accept::default())
            .await
            .unwrap();
    }
    let expected = ["GET /token", "GET /v2/a/manifests/latest"];
    assert_eq!(fake.trace(), [expected, expected].concat());
}

#[tokio::test]
async fn the_reason_of_the_token_server_reaches_the_user() {
    let fake = Fake::start(|request| match request {
        request if request.is("GET", "/token") => {
            Answer::new(401).body(r#"{"details":"incorrect username or password"}"#)
        }
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![password("bad")]);
    let failure = client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("incorrect username or password"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let (manifest, _) = image();
    let fake = Fake::start(move |request| match request {
        request if request.is("POST", "/token") => {
            let form = String::from_utf8(request.body.clone()).unwrap();
            assert!(
                form.contains("grant_type=refresh_token") && form.contains("refresh_token=id"),
                "{form}"
            );
            assert_eq!(request.header("authorization"), "");
            Answer::new(200).body(r#"{"access_token":"t"}"#)
        }
        request if request.header("authorization") == "Bearer t" => manifest_answer(&manifest),
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![Credential::IdentityToken(Secret::new("id"))]);
    client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn mounting_asks_for_both_repositories() {
    let fake = Fake::start(move |request| match request {
        request if request.is("GET", "/token") => {
            let scopes: Vec<_> = request
                .target
                .split('&')
                .filter(|part| part.starts_with("scope="))
                .collect();
            assert_eq!(
                scopes,
                [
                    "scope=repository%3Aa%3Apull%2Cpush",
                    "scope=repository%3Ab%3Apull"
                ]
            );
            Answer::new(200).body(r#"{"token":"t"}"#)
        }
        request if request.header("authorization") == "Bearer t" => Answer::new(201),
        request => challenge(request),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    let digest = yadokari_image::Digest::of(b"x");
    let mount = client
        .mount_blob(&fake.repository("a"), digest, &fake.repository("b"))
        .await;
    assert!(matches!(mount.unwrap(), Mount::Mounted));
}

#[tokio::test]
async fn a_redirect_to_another_host_gets_no_credentials() {
    let (manifest, _) = image();
    let storage = Fake::start(move |request| {
        assert_eq!(request.header("authorization"), "");
        manifest_answer(&manifest)
    })
    .await;
    let target = format!("http://{}/stored", storage.host);
    let fake = Fake::start(move |request| match request.header("authorization") {
        GOOD => Answer::new(307).header("location", &target),
        _ => error(401, "UNAUTHORIZED").header("www-authenticate", "Basic"),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap();
    assert_eq!(storage.trace(), ["GET /stored"]);
}

#[tokio::test]
async fn a_host_that_was_redirected_to_cannot_ask_for_credentials() {
    let storage =
        Fake::start(|_| error(401, "UNAUTHORIZED").header("www-authenticate", "Basic")).await;
    let target = format!("http://{}/stored", storage.host);
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => Answer::new(307).header("location", &target),
    })
    .await;
    let client = client(&fake, vec![password("good")]);
    let failure = client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap_err();
    assert!(
        matches!(*failure.cause, Cause::Rejected { status: 401, .. }),
        "{failure}"
    );
    assert!(
        storage
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let reference = Reference::parse(&format!("{host}/a")).unwrap();
    let client = Client::new(options()).unwrap();
    let failure = client
        .manifest(&reference, Accept::default())
        .await
        .unwrap_err();
    assert!(
        failure.to_string().contains("connection refused"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_token_server_that_is_gone_does_not_make_an_image_absent() {
    let fake = Fake::start(|request| match request {
        request if request.is("GET", "/token") => error(404, "NOT_FOUND"),
        request => challenge(request),
    })
    .await;
    let failure = client(&fake, Vec::new())
        .head_manifest(&fake.reference("a"))
        .await
        .unwrap_err();
    assert!(
        matches!(*failure.cause, Cause::TokenServer { status: 404, .. }),
        "{failure}"
    );
}

#[tokio::test]
async fn a_login_is_tried_with_its_own_credential_and_no_other() {
    // Anonymous tokens are given, too, so only the login's own answer counts.
    let fake = Fake::start(|request| match request.target.as_str() {
        target if target.starts_with("/token") => match request.header("authorization") {
            "" | GOOD => Answer::new(200).body(r#"{"token":"t"}"#),
            _ => error(401, "UNAUTHORIZED"),
        },
        _ if request.header("authorization") == "Bearer t" => Answer::new(200),
        _ => challenge(request),
    })
    .await;
    client(&fake, Vec::new())
        .check_login(&fake.host, password("good"))
        .await
        .unwrap();
    let refused = client(&fake, Vec::new())
        .check_login(&fake.host, password("bad"))
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.status(), Some(401));
    let shown = format!("{refused} {:?} {:?}", refused, refused.hint());
    assert!(
        shown.starts_with(&format!("log in to {}: ", fake.host)),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_registry_that_wants_no_login_takes_any() {
    let fake = Fake::start(|_| Answer::new(200)).await;
    let client = client(&fake, Vec::new());
    client
        .check_login(&fake.host, password("any"))
        .await
        .unwrap();
    assert!(
        client
            .check_login("no host", password("any"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_a_push_is_replaced() {
    let mut tokens = 0;
    let mut left = 2;
    let fake = Fake::start(move |request| {
        let authorization = request.header("authorization").to_owned();
        if request.target.starts_with("/token") {
            tokens += 1;
            left = 2;
            let body = format!(r#"{{"token":"t{tokens}","expires_in":3600}}"#);
            return Answer::new(200).body(body);
        }
        // Each token is good for two requests.
        if authorization != format!("Bearer t{tokens}") || left == 0 {
            return challenge(request);
        }
        left -= 1;
        let location = format!("http://{}/v2/a/blobs/uploads/1", own_host(request));
        match request.method.as_str() {
            "POST" => Answer::new(202).header("location", location),
            "PATCH" => Answer::new(202).header("location", location).header(
                "range",
                request
                    .header("content-range")
                    .replacen(|_: char| true, "0", 1),
            ),
            "PUT" if request.body.is_empty() => Answer::new(201),
            "PUT" => Answer::new(413),
            _ => error(404, "BLOB_UNKNOWN"),
        }
    })
    .await;
    let client = Client::new(Options {
        chunk_size: 10,
        ..options()
    })
    .unwrap();
    let bytes = bytes::Bytes::from_static(b"0123456789012345678901234567890123456789");
    let digest = yadokari_image::Digest::of(&bytes);
    client
        .push_blob(&fake.repository("a"), digest, 40, &bytes)
        .await
        .unwrap();
    let fetched = fake
        .trace()
        .iter()
        .filter(|line| line.starts_with("GET /token"))
        .count();
    assert!(fetched > 2, "{:?}", fake.trace());
}

#[tokio::test]
async fn credentials_stay_away_from_hosts_that_look_alike() {
    let fake = Fake::start(|request| {
        assert_eq!(request.header("authorization"), "");
        error(401, "UNAUTHORIZED").header("www-authenticate", "Basic realm=\"x\"")
    })
    .await;
    let port = fake.host.rsplit(':').next().unwrap();
    let known = Fixed {
        registry: fake.host.clone(),
        candidate: Candidate {
            credential: password("good"),
            source: "config.json".to_owned(),
        },
    };
    let client = Client::new(Options {
        credentials: Arc::new(known),
        ..options()
    })
    .unwrap();
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1.localhost:{port}"),
    ] {
        let reference = Reference::parse(&format!("{host}/a:1")).unwrap();
        client
            .manifest(&reference, Accept::default())
            .await
            .unwrap_err();
    }
    assert!(!fake.requests().is_empty());
}
