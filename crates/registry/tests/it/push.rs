//! Pushing blobs and manifests, with faults.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use yadokari_image::{Digest, media_type};
use yadokari_registry::{Cause, Client, Mount, Options};

use crate::fake::{Answer, Fake, Request, client, error, noise, options};

/// The bytes of an upload as a registry gathers them.
type Store = Arc<Mutex<Vec<u8>>>;

const BEGIN: &str = "/v2/a/blobs/uploads/";

/// A registry's part of an upload, in pieces or whole.
fn take(store: &Store, request: &Request) -> Answer {
    let mut stored = store.lock().unwrap();
    let range = |stored: &[u8]| format!("0-{}", stored.len().saturating_sub(1));
    match request.method.as_str() {
        "POST" => {
            stored.clear();
            Answer::new(202).header("location", "/upload/1?_state=a%2Fb")
        }
        "PATCH" => {
            let start: usize = request
                .header("content-range")
                .split('-')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            if start != stored.len() {
                return error(416, "BLOB_UPLOAD_INVALID");
            }
            stored.extend(&request.body);
            Answer::new(202)
                .header("location", "/upload/1?_state=next")
                .header("range", range(&stored))
        }
        "PUT" => {
            stored.extend(&request.body);
            let wanted = format!("digest={}", Digest::of(&stored)).replace(':', "%3A");
            match request.target.ends_with(&wanted) {
                true => Answer::new(201),
                false => error(400, "DIGEST_INVALID"),
            }
        }
        "GET" => Answer::new(204).header("range", range(&stored)),
        "HEAD" => Answer::new(404),
        _ => Answer::new(204),
    }
}

async fn push(
    client: &Client,
    fake: &Fake,
    bytes: &[u8],
) -> Result<(), yadokari_registry::RegistryError> {
    let source = Bytes::copy_from_slice(bytes);
    let digest = Digest::of(bytes);
    client
        .push_blob(&fake.repository("a"), digest, bytes.len() as u64, &source)
        .await
}

fn in_pieces() -> Client {
    Client::new(Options {
        chunk_size: 100_000,
        ..options()
    })
    .unwrap()
}

#[tokio::test]
async fn a_blob_is_pushed_from_a_file_in_one_request() {
    let store = Store::default();
    let shared = Arc::clone(&store);
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => take(&shared, request),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blob");
    let bytes = noise(3_000_000);
    std::fs::write(&path, &bytes).unwrap();
    client()
        .push_blob(
            &fake.repository("a"),
            Digest::of(&bytes),
            bytes.len() as u64,
            &path,
        )
        .await
        .unwrap();
    assert_eq!(fake.trace(), ["POST /v2/a/blobs/uploads/", "PUT /upload/1"]);
    assert!(
        fake.requests()[1]
            .target
            .starts_with("/upload/1?_state=a%2Fb&digest=")
    );
    assert_eq!(*store.lock().unwrap(), bytes);
}

#[tokio::test]
async fn an_empty_blob_can_be_pushed() {
    let store = Store::default();
    let fake = Fake::start(move |request| take(&store, request)).await;
    push(&client(), &fake, b"").await.unwrap();
}

#[tokio::test]
async fn a_registry_that_finds_it_too_large_gets_pieces() {
    let store = Store::default();
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ if request.method == "PUT" && !request.body.is_empty() => error(413, "TOO_LARGE"),
        _ => take(&store, request),
    })
    .await;
    push(&in_pieces(), &fake, &noise(250_000)).await.unwrap();
    let patches = fake
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .count();
    assert_eq!(patches, 3);
}

#[tokio::test]
async fn pieces_are_not_smaller_than_the_registry_wants() {
    let store = Store::default();
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        BEGIN => take(&store, request).header("oci-chunk-min-length", "200000"),
        _ if request.method == "PUT" && !request.body.is_empty() => error(413, "TOO_LARGE"),
        _ => take(&store, request),
    })
    .await;
    push(&in_pieces(), &fake, &noise(250_000)).await.unwrap();
    let sizes: Vec<_> = fake
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body.len())
        .collect();
    assert_eq!(sizes, [200_000, 50_000]);
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_the_registry_is() {
    let store = Store::default();
    let mut first = true;
    let fake = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ if request.method == "PUT" && std::mem::take(&mut first) => {
            store.lock().unwrap().extend(&request.body[..70_000]);
            error(503, "UNAVAILABLE")
        }
        _ => take(&store, request),
    })
    .await;
    push(&in_pieces(), &fake, &noise(250_000)).await.unwrap();
    let ranges: Vec<String> = fake
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.header("content-range").to_owned())
        .collect();
    assert_eq!(ranges, ["70000-169999", "170000-249999"]);
}

#[tokio::test]
async fn a_blob_whose_answer_was_lost_is_not_pushed_again() {
    let fake = Fake::start(move |request| match request.method.as_str() {
        "POST" => Answer::new(202).header("location", "/upload/1"),
        "PUT" => error(504, "TIMEOUT"),
        _ => Answer::new(200),
    })
    .await;
    push(&client(), &fake, b"bytes").await.unwrap();
    let puts = fake
        .requests()
        .iter()
        .filter(|request| request.method == "PUT")
        .count();
    assert_eq!(puts, 1);
}

#[tokio::test]
async fn a_source_that_is_too_short_is_named() {
    let store = Store::default();
    let fake = Fake::start(move |request| take(&store, request)).await;
    let failure = client()
        .push_blob(
            &fake.repository("a"),
            Digest::of(b"x"),
            10,
            &Bytes::from_static(b"short"),
        )
        .await
        .unwrap_err();
    assert!(matches!(*failure.cause, Cause::Source { .. }), "{failure}");
}

#[tokio::test]
async fn a_refused_digest_is_final() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => Answer::new(202).header("location", "/upload/1"),
        "PUT" => error(400, "DIGEST_INVALID"),
        _ => Answer::new(200),
    })
    .await;
    let failure = push(&client(), &fake, b"x").await.unwrap_err();
    assert!(failure.to_string().contains("DIGEST_INVALID"), "{failure}");
}

#[tokio::test]
async fn an_upload_elsewhere_gets_no_credentials() {
    use yadokari_registry::credentials::Fixed;
    use yadokari_registry::{Candidate, Credential, Secret};
    let elsewhere = Fake::start(|request| {
        assert_eq!(request.header("authorization"), "");
        Answer::new(201)
    })
    .await;
    let location = format!("http://{}/put", elsewhere.host);
    let fake = Fake::start(move |request| match request.header("authorization") {
        "" => error(401, "UNAUTHORIZED").header("www-authenticate", "Basic"),
        _ => Answer::new(202).header("location", &location),
    })
    .await;
    let candidate = Candidate {
        credential: Credential::Password {
            username: "u".to_owned(),
            password: Secret::new("p"),
        },
        source: "test".to_owned(),
    };
    let registry = fake.host.clone();
    let client = Client::new(Options {
        credentials: Arc::new(Fixed {
            registry,
            candidate,
        }),
        ..options()
    })
    .unwrap();
    push(&client, &fake, b"x").await.unwrap();
    assert_eq!(elsewhere.trace(), ["PUT /put"]);
}

#[tokio::test]
async fn a_declined_mount_becomes_an_upload() {
    let store = Store::default();
    let shared = Arc::clone(&store);
    let fake = Fake::start(move |request| take(&shared, request)).await;
    let bytes = noise(1000);
    let digest = Digest::of(&bytes);
    let client = client();
    let mount = client
        .mount_blob(&fake.repository("a"), digest, &fake.repository("b"))
        .await
        .unwrap();
    let Mount::Declined(session) = mount else {
        panic!("{mount:?}");
    };
    let source = Bytes::from(bytes.clone());
    client
        .continue_upload(session, digest, 1000, &source)
        .await
        .unwrap();
    assert_eq!(fake.trace(), ["POST /v2/a/blobs/uploads/", "PUT /upload/1"]);
    assert!(fake.requests()[0].target.ends_with("&from=b"));
    assert_eq!(*store.lock().unwrap(), bytes);
}

#[tokio::test]
async fn a_mount_without_the_right_to_read_is_declined() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => error(403, "DENIED"),
    })
    .await;
    let mount = client()
        .mount_blob(
            &fake.repository("a"),
            Digest::of(b"x"),
            &fake.repository("b"),
        )
        .await
        .unwrap();
    assert!(matches!(mount, Mount::Declined(_)));
}

#[tokio::test]
async fn the_push_check_leaves_no_upload_behind() {
    let store = Store::default();
    let fake = Fake::start(move |request| take(&store, request)).await;
    client().check_push(&fake.repository("a")).await.unwrap();
    assert_eq!(
        fake.trace(),
        ["POST /v2/a/blobs/uploads/", "DELETE /upload/1"]
    );
}

#[tokio::test]
async fn a_manifest_is_put_under_its_tag_and_immutable_tags_are_told() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/a/manifests/fixed" => error(400, "TAG_INVALID"),
        _ => Answer::new(201),
    })
    .await;
    let client = client();
    let fixed = fake.reference("a:fixed");
    assert_eq!(
        client
            .put_manifest(&fake.reference("a:1"), "{}", media_type::OCI_MANIFEST)
            .await
            .unwrap(),
        Digest::of(b"{}")
    );
    let failure = client
        .put_manifest(&fixed, "{}", media_type::OCI_MANIFEST)
        .await
        .unwrap_err();
    assert!(failure.is_immutable_tag(), "{failure}");
    assert_eq!(
        fake.requests()[0].header("content-type"),
        media_type::OCI_MANIFEST
    );
}

#[tokio::test]
async fn deleting_goes_by_tag_or_digest() {
    let fake = Fake::start(|_| Answer::new(202)).await;
    let digest = Digest::of(b"x");
    client().delete(&fake.reference("a:1")).await.unwrap();
    client()
        .delete(&fake.reference("a:1").with_digest(digest))
        .await
        .unwrap();
    assert_eq!(
        fake.trace(),
        [
            "DELETE /v2/a/manifests/1".to_owned(),
            format!("DELETE /v2/a/manifests/{digest}")
        ]
    );
}
