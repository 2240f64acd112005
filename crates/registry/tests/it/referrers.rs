//! What refers to a manifest: listed by the registry, or by an index under a tag.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use yadokari_image::media_type::{self, Family};
use yadokari_image::{Descriptor, Digest, Index, Manifest, json};
use yadokari_registry::{Client, RegistryError, referrers_tag};

use crate::fake::{Answer, Fake, Request, client, error, options};
use crate::real;

fn subject() -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, b"the image")
}

fn artifact(kind: &str) -> Vec<u8> {
    let config = Descriptor::of("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = Manifest {
        artifact_type: Some(kind.to_owned()),
        subject: Some(subject()),
        annotations: Some([("made".to_owned(), "here".to_owned())].into()),
        ..Manifest::new(Family::Oci, config, Vec::new())
    };
    json::compact(&manifest)
}

fn entry(kind: &str) -> Descriptor {
    Descriptor {
        artifact_type: Some(kind.to_owned()),
        ..Descriptor::of(media_type::OCI_MANIFEST, &artifact(kind))
    }
}

fn index(kinds: &[&str]) -> Vec<u8> {
    let entries = kinds.iter().map(|kind| entry(kind)).collect();
    json::compact(&Index::new(Family::Oci, entries))
}

fn types(found: &[Descriptor]) -> Vec<&str> {
    let kinds = found.iter().map(|entry| entry.artifact_type.as_deref());
    kinds.map(|kind| kind.unwrap_or("none")).collect()
}

async fn of_subject(fake: &Fake) -> Result<Vec<Descriptor>, RegistryError> {
    let (client, repository) = (client(), fake.repository("a"));
    client.referrers(&repository, subject().digest).await
}

#[tokio::test]
async fn a_registry_lists_referrers_page_by_page_and_each_once() {
    let fake = Fake::start(|request| {
        let page = |kinds: &[&str]| {
            Answer::new(200)
                .header("content-type", media_type::OCI_INDEX)
                .body(index(kinds))
        };
        if request.target.contains("page=2") {
            return page(&["b", "c"]);
        }
        match request.target.contains("/referrers/sha256:") {
            true => page(&["a", "b"]).header("link", "</v2/a/referrers/x?page=2>; rel=\"next\""),
            false => Answer::new(200),
        }
    })
    .await;
    let found = of_subject(&fake).await.unwrap();
    assert_eq!(types(&found), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_list_that_is_none_gives_way_to_the_tag() {
    // What the registry answers where lists should be, and under the tag.
    let html = || {
        Answer::new(200)
            .header("content-type", "text/html")
            .body("<html>")
    };
    let none = || error(404, "MANIFEST_UNKNOWN");
    let tagged = || {
        Answer::new(200)
            .header("content-type", media_type::OCI_INDEX)
            .body(index(&["a"]))
    };
    let image = || {
        Answer::new(200)
            .header("content-type", media_type::OCI_MANIFEST)
            .body(artifact("x"))
    };
    type Made = fn() -> Answer;
    let table: [(Made, Made, &[&str]); 6] = [
        (|| Answer::new(404), tagged, &["a"]),
        (|| error(405, "UNSUPPORTED"), tagged, &["a"]),
        (|| error(400, "UNSUPPORTED"), tagged, &["a"]),
        (html, tagged, &["a"]),
        (|| Answer::new(404), none, &[]),
        (|| Answer::new(404), image, &[]),
    ];
    for (list, tag, expected) in table {
        let fake = Fake::start(move |request: &Request| {
            let is = |part: &str| request.target.contains(part);
            match (is("/referrers/"), is("/manifests/sha256-")) {
                (true, _) => list(),
                (_, true) => tag(),
                _ => Answer::new(200),
            }
        })
        .await;
        let found = of_subject(&fake).await.unwrap();
        assert_eq!(types(&found), expected);
    }
}

#[tokio::test]
async fn a_refusal_is_no_empty_list() {
    let fake = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => error(403, "DENIED"),
    })
    .await;
    let error = of_subject(&fake).await.unwrap_err().to_string();
    assert!(error.contains("list referrers of sha256:"), "{error}");
}

/// A registry of manifests by tag or digest; whether it knows of referrers.
fn keeping(knows: bool) -> impl Fn(&Request) -> Answer + Send + Sync + 'static {
    let kept: Arc<Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    move |request| {
        let mut kept = kept.lock().unwrap();
        let name = request.target.rsplit('/').next().unwrap_or_default();
        match (request.method.as_str(), name) {
            (_, "") => Answer::new(200),
            ("PUT", name) => {
                kept.insert(name.to_owned(), request.body.clone());
                let answer = Answer::new(201);
                match knows && name.starts_with("sha256:") {
                    true => answer.header("oci-subject", subject().digest.to_string()),
                    false => answer,
                }
            }
            (_, name) => match kept.get(name) {
                Some(bytes) if request.target.contains("/manifests/") => Answer::new(200)
                    .header("content-type", media_type::OCI_INDEX)
                    .body(bytes.clone()),
                _ => error(404, "MANIFEST_UNKNOWN"),
            },
        }
    }
}

#[tokio::test]
async fn a_manifest_with_a_subject_is_listed_under_its_tag_where_the_registry_keeps_no_list() {
    for knows in [true, false] {
        let fake = Fake::start(keeping(knows)).await;
        let repository = fake.repository("a");
        for kind in ["a", "b", "a"] {
            let bytes = artifact(kind);
            let name = repository.with_digest(Digest::of(&bytes));
            let client = client();
            let put = client.put_manifest(&name, bytes, media_type::OCI_MANIFEST);
            put.await.unwrap();
        }
        let tag = format!("/manifests/{}", referrers_tag(subject().digest));
        let wrote = |request: &&String| request.starts_with("PUT") && request.ends_with(&tag);
        let writes = fake.trace().iter().filter(wrote).count();
        assert_eq!(
            writes,
            if knows { 0 } else { 2 },
            "the third was listed already"
        );
        if !knows {
            let found = of_subject(&fake).await.unwrap();
            assert_eq!(types(&found), ["a", "b"]);
            assert_eq!(found[0].annotations.as_ref().unwrap()["made"], "here");
        }
    }
}

#[tokio::test]
async fn a_real_registry_without_lists_keeps_referrers_under_the_tag() {
    let Some(registry) = real::start("").await else {
        return;
    };
    let client = Client::new(options()).unwrap();
    let repository = yadokari_image::Repository::new(&registry.host, "a/b").unwrap();
    let config = bytes::Bytes::from_static(b"{}");
    let digest = Digest::of(&config);
    client
        .push_blob(&repository, digest, 2, &config)
        .await
        .unwrap();
    assert_eq!(
        client
            .referrers(&repository, subject().digest)
            .await
            .unwrap(),
        []
    );
    let bytes = artifact("sbom");
    let name = repository.with_digest(Digest::of(&bytes));
    client
        .put_manifest(&name, bytes, media_type::OCI_MANIFEST)
        .await
        .unwrap();
    let found = client
        .referrers(&repository, subject().digest)
        .await
        .unwrap();
    assert_eq!(types(&found), ["sbom"]);
}
