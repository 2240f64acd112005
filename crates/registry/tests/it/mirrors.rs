//! Mirrors and registry maps.

use yadokari_image::Reference;
use yadokari_registry::{Accept, Client, Mirror, Options};

use crate::fake::{Answer, Fake, error, image, manifest_answer, options};

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over() {
    let (manifest, _) = image();
    let broken = Fake::start(|_| error(404, "MANIFEST_UNKNOWN")).await;
    let stored = manifest.clone();
    let working = Fake::start(move |_| manifest_answer(&stored)).await;
    let client = Client::new(Options {
        mirrors: vec![
            Mirror::parse(&broken.host).unwrap(),
            Mirror::parse(&format!("{}/hub", working.host)).unwrap(),
        ],
        skip_default_registry_fallback: true,
        ..options()
    })
    .unwrap();
    let reference = Reference::parse("busybox").unwrap();
    for _ in 0..2 {
        let found = client
            .manifest(&reference, Accept::default())
            .await
            .unwrap();
        assert_eq!(found.endpoint, working.host);
    }
    // The mirror that answered is asked first from then on.
    assert_eq!(broken.trace(), ["GET /v2/library/busybox/manifests/latest"]);
    assert_eq!(
        working.trace(),
        ["GET /v2/hub/library/busybox/manifests/latest"; 2]
    );
}

#[tokio::test]
async fn a_mapped_registry_falls_back_to_itself() {
    let (manifest, _) = image();
    let own = Fake::start(move |_| manifest_answer(&manifest)).await;
    let replacement = Fake::start(|request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ => error(500, "UNKNOWN"),
    })
    .await;
    let map = [(
        own.host.clone(),
        vec![Mirror::parse(&replacement.host).unwrap()],
    )];
    let client = |skip| {
        Client::new(Options {
            registry_map: map.clone().into(),
            skip_default_registry_fallback: skip,
            ..options()
        })
        .unwrap()
    };
    let reference = own.reference("a");
    client(false)
        .manifest(&reference, Accept::default())
        .await
        .unwrap();
    assert_eq!(replacement.requests().len(), 2);
    let failure = client(true)
        .manifest(&reference, Accept::default())
        .await
        .unwrap_err();
    assert_eq!(failure.registry, replacement.host);
    assert_eq!(own.requests().len(), 1);
}

#[tokio::test]
async fn a_mirror_with_a_bad_moment_is_asked_again_where_the_registry_cannot_be_reached() {
    let (manifest, _) = image();
    let mut bad = 5;
    let mirror = Fake::start(move |request| match request.target.as_str() {
        "/v2/" => Answer::new(200),
        _ if bad > 0 => {
            bad -= 1;
            error(503, "UNAVAILABLE")
        }
        _ => manifest_answer(&manifest),
    })
    .await;
    let unreachable = "127.0.0.1:1";
    let map = [(
        unreachable.to_owned(),
        vec![Mirror::parse(&mirror.host).unwrap()],
    )];
    let client = Client::new(Options {
        registry_map: map.into(),
        ..options()
    })
    .unwrap();
    let reference = Reference::parse(&format!("{unreachable}/a")).unwrap();
    let found = client
        .manifest(&reference, Accept::default())
        .await
        .unwrap();
    assert_eq!(found.endpoint, mirror.host);
    // Where all is in vain, the one that answered is told about.
    let absent = Reference::parse(&format!("{unreachable}/absent")).unwrap();
    let blob = crate::fake::blob(b"x");
    let failure = client.small_blob(&absent, &blob, 10).await.unwrap_err();
    assert_eq!(failure.registry, mirror.host);
}
