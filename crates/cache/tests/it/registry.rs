//! Records as tags of a repository, with Debian's `docker-registry` if that is installed.

use yadokari_cache::{CacheError, LayerBytes, LayerCache, Location, Record};
use yadokari_image::media_type::Family;
use yadokari_image::{Manifest, Repository, json};
use yadokari_testkit::registry::{Options, Registry};
use yadokari_testkit::{needs, skip_unless};

use crate::sample::{HOUR, Sample, client, key, made};

fn repository(registry: &Registry, path: &str) -> Repository {
    Repository::new(&registry.address(), path).unwrap()
}

fn cache_in(repository: &Repository) -> LayerCache {
    LayerCache::new(
        Location::Repository(repository.clone()),
        &client(),
        24 * HOUR,
    )
}

async fn found(cache: &LayerCache, digit: char) -> Result<Option<Record>, CacheError> {
    cache.lookup(key(digit), made() + HOUR).await
}

/// Puts a manifest under the tag that a key has.
async fn tag(repository: &Repository, digit: char, manifest: &Manifest) {
    let reference = repository.with_tag(&key(digit).to_string()).unwrap();
    client()
        .put_manifest(&reference, json::indented(manifest), Family::Oci.manifest())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_kept_is_found_until_its_lifetime_ends() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options::default()).unwrap();
    let place = repository(&registry, "team/app/cache");
    let cache = cache_in(&place);
    assert_eq!(
        found(&cache, 'a').await.unwrap(),
        None,
        "a repository that is not there holds nothing"
    );
    let sample = Sample::new(b"layer");
    sample.keep(&cache, key('a'), None).await;
    assert_eq!(
        found(&cache, 'a').await.unwrap(),
        Some(sample.record.clone())
    );
    assert_eq!(found(&cache, 'b').await.unwrap(), None);
    assert!(
        cache
            .lookup(key('a'), made() + 24 * HOUR)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        client()
            .blob_exists(&place, sample.blob.digest)
            .await
            .unwrap()
    );
    assert_eq!(
        (cache.repository(), cache.directory()),
        (Some(&place), None)
    );
    let later = Sample::new(b"another layer");
    later.keep(&cache, key('a'), None).await;
    assert_eq!(found(&cache, 'a').await.unwrap(), Some(later.record));
}

#[tokio::test]
async fn a_layer_that_lies_in_another_repository_is_mounted() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options::default()).unwrap();
    let sample = Sample::new(&vec![7; 100_000]);
    let (image, place) = (
        repository(&registry, "app"),
        repository(&registry, "app/cache"),
    );
    client()
        .push_blob(
            &image,
            sample.blob.digest,
            sample.blob.size,
            &sample.blob.path,
        )
        .await
        .unwrap();
    // What cannot be read cannot be pushed, so the registry must have taken it from the other repository.
    std::fs::remove_file(&sample.blob.path).unwrap();
    let cache = cache_in(&place);
    sample.keep(&cache, key('a'), Some(&image)).await;
    assert!(
        client()
            .blob_exists(&place, sample.blob.digest)
            .await
            .unwrap()
    );
    assert_eq!(found(&cache, 'a').await.unwrap(), Some(sample.record));
}

#[tokio::test]
async fn a_layer_that_cannot_be_mounted_is_pushed() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options::default()).unwrap();
    let place = repository(&registry, "app/cache");
    let cache = cache_in(&place);
    let elsewhere = [
        repository(&registry, "empty"),
        Repository::new("other.example", "app").unwrap(),
    ];
    for (digit, other) in ['a', 'b'].into_iter().zip(&elsewhere) {
        let sample = Sample::new(&[digit as u8; 1000]);
        sample.keep(&cache, key(digit), Some(other)).await;
        assert!(
            client()
                .blob_exists(&place, sample.blob.digest)
                .await
                .unwrap(),
            "{other}"
        );
        assert_eq!(found(&cache, digit).await.unwrap(), Some(sample.record));
    }
}

#[tokio::test]
async fn what_others_put_under_the_tag_is_no_record() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options::default()).unwrap();
    let place = repository(&registry, "cache");
    let cache = cache_in(&place);
    let sample = Sample::new(b"layer");
    sample.keep(&cache, key('a'), None).await;
    let reference = place.with_tag(&key('a').to_string()).unwrap();
    let kept = client()
        .manifest(&reference, yadokari_registry::Accept::Manifest)
        .await
        .unwrap();
    let record = Manifest::parse(&kept.bytes).unwrap();

    tag(&place, 'b', &record).await;
    assert!(
        matches!(found(&cache, 'b').await, Err(CacheError::NoRecord { .. })),
        "a record of another key"
    );

    let plain = Manifest::new(
        Family::Oci,
        record.config.clone(),
        vec![sample.record.layer.clone()],
    );
    tag(&place, 'c', &plain).await;
    assert_eq!(found(&cache, 'c').await.unwrap(), None, "an ordinary image");

    let two = vec![sample.record.layer.clone(), sample.record.layer.clone()];
    let crowded = Manifest {
        layers: Some(two),
        ..record
    };
    tag(&place, 'a', &crowded).await;
    assert!(
        matches!(found(&cache, 'a').await, Err(CacheError::NoRecord { .. })),
        "two layers"
    );
}

#[tokio::test]
async fn a_registry_that_refuses_writes_is_an_error_of_saving_only() {
    skip_unless!(needs::registry());
    let sample = Sample::new(b"layer");
    let registry = Registry::start(Options {
        read_only: true,
        ..Options::default()
    })
    .unwrap();
    let cache = cache_in(&repository(&registry, "cache"));
    assert_eq!(found(&cache, 'a').await.unwrap(), None);
    let refused = cache
        .save(key('a'), &sample.record, LayerBytes::of(&sample.blob))
        .await;
    assert!(matches!(refused, Err(CacheError::Registry(_))));
}
