//! Bad days: stalls, wrong bytes, registries that are gone, limits on the way, and a fifth of all requests failing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use yadokari_image::{Descriptor, Repository, media_type};
use yadokari_registry::{
    Accept, Cause, Client, ExtraTries, Mount, Options, RegistryError, RetryPolicy, Timeouts,
};
use yadokari_testkit::Tap;
use yadokari_testkit::tap::{Behaviour, BodyLimit, Faults};

use crate::fake::{Answer, Fake, blob, client, error, image, manifest_answer, noise, options};
use crate::real::{Registry, start};

/// Settings with which a silent registry is given up soon.
fn impatient() -> Options {
    Options {
        timeouts: Timeouts {
            read: Duration::from_millis(100),
            ..Timeouts::default()
        },
        ..options()
    }
}

async fn read(
    client: &Client,
    repository: &Repository,
    descriptor: &Descriptor,
) -> Result<Vec<u8>, RegistryError> {
    let mut reader = client.blob(repository, descriptor).await?;
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes).await {
        Ok(_) => Ok(bytes),
        Err(error) => Err(error.downcast().unwrap()),
    }
}

#[tokio::test]
async fn a_stalled_download_is_gone_on_with() {
    let bytes = noise(300_000);
    let stored = bytes.clone();
    let mut first = true;
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ if std::mem::take(&mut first) => {
            Answer::new(200).body(stored.clone()).stall_after(100_000)
        }
        _ => {
            let start: usize = request.header("range")["bytes=".len()..]
                .trim_end_matches('-')
                .parse()
                .unwrap();
            assert!(start > 0);
            let range = format!("bytes {start}-{}/{}", stored.len() - 1, stored.len());
            Answer::new(206)
                .header("content-range", range)
                .body(&stored[start..])
        }
    })
    .await;
    let client = Client::new(impatient()).unwrap();
    assert_eq!(
        read(&client, &fake.repository("a"), &blob(&bytes))
            .await
            .unwrap(),
        bytes
    );
}

#[tokio::test]
async fn a_registry_that_never_answers_is_named_with_what_was_wanted() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => Answer::new(200).body("x").stall_after(0),
    })
    .await;
    let client = Client::new(impatient()).unwrap();
    let failure = client
        .manifest(&fake.reference("a:1"), Accept::default())
        .await
        .unwrap_err();
    assert!(matches!(*failure.cause, Cause::Silent { .. }), "{failure}");
    let expected = format!("pull manifest 1 of {}/a: no answer", fake.host);
    assert!(failure.to_string().starts_with(&expected), "{failure}");
    assert_eq!(
        fake.requests().len(),
        RetryPolicy::fast().attempts as usize / 2
    );
}

#[tokio::test]
async fn a_registry_that_is_gone_is_told_soon() {
    let gone = Fake::start(|_| Answer::new(200))
        .await
        .host
        .replace("127.0.0.1", "127.0.0.2");
    let repository = Repository::new(&gone, "a").unwrap();
    let start = Instant::now();
    let failure = client().check_push(&repository).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(matches!(*failure.cause, Cause::Connect { .. }), "{failure}");
    assert!(
        failure
            .to_string()
            .starts_with(&format!("connect to {gone}/a: ")),
        "{failure}"
    );
}

#[tokio::test]
async fn wrong_bytes_are_read_again() {
    let (manifest, config) = image();
    let descriptor = Descriptor::of(media_type::OCI_CONFIG, &config);
    let mut wrong = 2;
    let fake = Fake::start(move |request| {
        let spoil = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[0] ^= 1;
            bytes
        };
        match request.target.as_str() {
            "/v2/" => Answer::new(200),
            target if wrong > 0 => {
                wrong -= 1;
                let bytes = if target.contains("/manifests/") {
                    &manifest
                } else {
                    &config
                };
                let promised = manifest_answer(bytes);
                promised.body(spoil(bytes))
            }
            target if target.contains("/manifests/") => {
                wrong = 1;
                manifest_answer(&manifest)
            }
            _ => Answer::new(200).body(config.clone()),
        }
    })
    .await;
    let client = client();
    let reference = fake.reference("a:1");
    client
        .manifest(&reference, Accept::default())
        .await
        .unwrap();
    let found = client
        .small_blob(&reference, &descriptor, 1 << 20)
        .await
        .unwrap();
    assert_eq!(Descriptor::of(media_type::OCI_CONFIG, &found), descriptor);
    assert_eq!(fake.requests().len(), 5);
}

#[tokio::test]
async fn each_kind_of_request_has_its_own_extra_tries() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => error(503, "UNAVAILABLE"),
    })
    .await;
    let client = Client::new(Options {
        retry: RetryPolicy {
            attempts: 1,
            ..RetryPolicy::fast()
        },
        extra_tries: ExtraTries {
            download: 1,
            push: 2,
            layer: 0,
        },
        ..options()
    })
    .unwrap();
    client
        .manifest(&fake.reference("a"), Accept::default())
        .await
        .unwrap_err();
    assert_eq!(fake.requests().len(), 2);
    client.check_push(&fake.repository("a")).await.unwrap_err();
    assert_eq!(fake.requests().len(), 2 + 3);
    let reader = client.blob(&fake.repository("a"), &blob(b"x")).await;
    reader.unwrap_err();
    assert_eq!(fake.requests().len(), 2 + 3 + 2);
}

#[tokio::test]
async fn a_layer_with_wrong_bytes_asks_for_another_copy_and_a_missing_one_does_not() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" => {
            error(404, "BLOB_UNKNOWN")
        }
        _ => Answer::new(200).body("wrong"),
    })
    .await;
    let client = client();
    let wrong = read(&client, &fake.repository("a"), &blob(b"right"))
        .await
        .unwrap_err();
    let wrapped = std::io::Error::other(wrong);
    assert!(client.wait_for_another_copy(1, &wrapped).is_some());
    let last = RetryPolicy::fast().attempts;
    assert!(client.wait_for_another_copy(last, &wrapped).is_none());
    let missing = read(&client, &fake.repository("a"), &blob(b""))
        .await
        .unwrap_err();
    assert!(client.wait_for_another_copy(1, &missing).is_none());
}

#[tokio::test]
async fn a_layer_that_registries_may_not_hold_comes_from_where_it_lies() {
    let bytes = noise(50_000);
    let stored = bytes.clone();
    let elsewhere = Fake::start(move |request| {
        assert_eq!(request.header("authorization"), "");
        match request.target.as_str() {
            "/layer" => Answer::new(200).body(stored.clone()),
            _ => Answer::new(404),
        }
    })
    .await;
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => error(404, "BLOB_UNKNOWN"),
    })
    .await;
    let url = |path: &str| format!("http://{}/{path}", elsewhere.host);
    let descriptor = Descriptor {
        urls: Some(vec![
            "file:///etc/passwd".to_owned(),
            url("gone"),
            url("layer"),
        ]),
        ..blob(&bytes)
    };
    let client = client();
    assert_eq!(
        read(&client, &fake.repository("a"), &descriptor)
            .await
            .unwrap(),
        bytes
    );
    let nowhere = Descriptor {
        urls: None,
        ..descriptor
    };
    let failure = read(&client, &fake.repository("a"), &nowhere)
        .await
        .unwrap_err();
    assert!(failure.is_not_found(), "{failure}");
}

/// A proxy before a real registry, if there is one.
async fn tapped(behaviour: Behaviour) -> Option<(Registry, Tap)> {
    let registry = start("").await?;
    let port = registry.host.rsplit(':').next().unwrap().parse().unwrap();
    let tap = Tap::start(port, behaviour).unwrap();
    Some((registry, tap))
}

#[tokio::test]
async fn a_limit_on_the_way_makes_pieces_small_enough() {
    for (limit, hangs_up) in [
        (1_048_576, false),
        (1_048_576, true),
        (300_000, false),
        (300_000, true),
    ] {
        let limit = BodyLimit {
            bytes: limit,
            hangs_up,
        };
        let behaviour = Behaviour {
            body_limit: Some(limit),
            ..Behaviour::default()
        };
        let Some((_registry, tap)) = tapped(behaviour).await else {
            return;
        };
        let repository = Repository::new(&tap.address(), "limited").unwrap();
        let bytes = Bytes::from(noise(3_000_000));
        let blob = blob(&bytes);
        let client = client();
        client
            .push_blob(&repository, blob.digest, blob.size, &bytes)
            .await
            .unwrap_or_else(|error| panic!("{limit:?}: {error}"));
        assert_eq!(
            client.blob_size(&repository, blob.digest).await.unwrap(),
            Some(3_000_000)
        );
    }
}

#[tokio::test]
async fn with_a_fifth_of_all_requests_failing_everything_arrives() {
    let faults = Faults { rate: 20, seed: 1 };
    let behaviour = Behaviour {
        faults: Some(faults),
        ..Behaviour::default()
    };
    let Some((_registry, tap)) = tapped(behaviour).await else {
        return;
    };
    let client = client();
    let [from, to] = ["from", "to"].map(|name| Repository::new(&tap.address(), name).unwrap());
    for size in [0, 1, 70_000, 400_000] {
        let bytes = Bytes::from(noise(size));
        let blob = blob(&bytes);
        client
            .push_blob(&from, blob.digest, blob.size, &bytes)
            .await
            .unwrap();
        if let Mount::Declined(session) = client.mount_blob(&to, blob.digest, &from).await.unwrap()
        {
            client
                .continue_upload(session, blob.digest, blob.size, &bytes)
                .await
                .unwrap();
        }
        let mut back = read(&client, &to, &blob).await;
        for attempt in 1.. {
            let Err(failure) = &back else { break };
            assert!(
                client.wait_for_another_copy(attempt, failure).is_some(),
                "{failure}"
            );
            back = read(&client, &to, &blob).await;
        }
        assert_eq!(back.unwrap(), bytes);
    }
    let counts = tap.take_counts();
    assert!(!counts.faults.is_empty(), "{counts:?}");
}

#[tokio::test]
async fn what_is_known_of_a_repository_is_not_asked_again() {
    let Some((_registry, tap)) = tapped(Behaviour::default()).await else {
        return;
    };
    let client = client();
    let [a, b] = ["a", "b"].map(|name| Repository::new(&tap.address(), name).unwrap());
    let bytes = Bytes::from(noise(1000));
    let blob = blob(&bytes);
    client
        .push_blob(&a, blob.digest, blob.size, &bytes)
        .await
        .unwrap();
    let _ = tap.take_counts();
    assert!(client.blob_exists(&a, blob.digest).await.unwrap());
    assert_eq!(client.holders(&b, blob.digest), std::slice::from_ref(&a));
    assert!(client.holders(&a, blob.digest).is_empty());
    assert_eq!(tap.take_counts().total(), 0);
    assert!(!client.blob_exists(&b, blob.digest).await.unwrap());
    assert_eq!(tap.take_counts().total(), 1);
}
