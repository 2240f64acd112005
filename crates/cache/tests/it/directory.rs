//! Records in an OCI layout directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use futures::FutureExt as _;
use yadokari_cache::{CacheError, LayerBytes, LayerCache, Location, Record};

use crate::sample::{HOUR, Sample, client, key, made};

/// A cache with one record, under `a`.
async fn filled() -> (Sample, LayerCache, PathBuf) {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    sample.keep(&cache, key('a'), None).await;
    let path = sample.folder.path().join("cache");
    (sample, cache, path)
}

async fn found(cache: &LayerCache, digit: char) -> Result<Option<Record>, CacheError> {
    cache.lookup(key(digit), made() + HOUR).await
}

fn blob_path(cache: &Path, digest: &str) -> PathBuf {
    cache.join("blobs").join(digest.replace(':', "/"))
}

#[tokio::test]
async fn a_directory_that_is_not_there_holds_nothing() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    assert_eq!(found(&cache, 'a').await.unwrap(), None);
    assert!(
        !sample.folder.path().join("cache").exists(),
        "asking makes nothing"
    );
}

#[tokio::test]
async fn what_was_kept_is_found_under_its_key_only() {
    let (sample, cache, path) = filled().await;
    assert_eq!(
        found(&cache, 'a').await.unwrap(),
        Some(sample.record.clone())
    );
    assert_eq!(found(&cache, 'b').await.unwrap(), None);
    let layer = fs::read(blob_path(&path, &sample.record.layer.digest.to_string())).unwrap();
    assert_eq!(layer, b"layer");
    assert_eq!(
        (cache.directory(), cache.repository()),
        (Some(path.as_path()), None)
    );
}

#[tokio::test]
async fn an_empty_directory_becomes_a_cache() {
    let sample = Sample::new(b"layer");
    fs::create_dir(sample.folder.path().join("cache")).unwrap();
    let cache = sample.directory_cache();
    assert_eq!(found(&cache, 'a').await.unwrap(), None);
    sample.keep(&cache, key('a'), None).await;
    assert_eq!(found(&cache, 'a').await.unwrap(), Some(sample.record));
}

#[tokio::test]
async fn builds_that_begin_together_make_one_cache() {
    let digits = ['a', 'b', 'c', 'd'];
    for _ in 0..20 {
        let sample = Sample::new(b"layer");
        let start = Barrier::new(digits.len());
        thread::scope(|threads| {
            for digit in digits {
                let (sample, start) = (&sample, &start);
                threads.spawn(move || {
                    let cache = sample.directory_cache();
                    start.wait();
                    let kept = sample.keep(&cache, key(digit), None).now_or_never();
                    kept.expect("a directory is written without waiting");
                });
            }
        });
        let cache = sample.directory_cache();
        for digit in digits {
            assert!(found(&cache, digit).await.unwrap().is_some(), "{digit}");
        }
    }
}

#[tokio::test]
async fn records_stand_side_by_side_and_the_later_of_one_key_counts() {
    let (first, cache, _) = filled().await;
    let second = Sample::new(b"another layer");
    second.keep(&cache, key('b'), None).await;
    assert_eq!(found(&cache, 'a').await.unwrap(), Some(first.record));
    assert_eq!(
        found(&cache, 'b').await.unwrap(),
        Some(second.record.clone())
    );
    second.keep(&cache, key('a'), None).await;
    assert_eq!(found(&cache, 'a').await.unwrap(), Some(second.record));
}

#[tokio::test]
async fn a_record_is_found_until_its_lifetime_ends() {
    let (_sample, cache, _) = filled().await;
    assert!(
        cache
            .lookup(key('a'), made() + 23 * HOUR)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        cache
            .lookup(key('a'), made() + 24 * HOUR)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        cache
            .lookup(key('a'), made() - HOUR)
            .await
            .unwrap()
            .is_some(),
        "a clock may run behind"
    );
}

#[tokio::test]
async fn an_index_that_cannot_be_read_is_an_error() {
    let (_sample, cache, path) = filled().await;
    fs::write(path.join("index.json"), "{").unwrap();
    assert!(matches!(
        found(&cache, 'a').await,
        Err(CacheError::Layout(_))
    ));
}

#[tokio::test]
async fn a_directory_that_is_no_layout_is_an_error() {
    let (_sample, cache, path) = filled().await;
    fs::remove_file(path.join("oci-layout")).unwrap();
    assert!(matches!(
        found(&cache, 'a').await,
        Err(CacheError::Layout(_))
    ));
}

#[tokio::test]
async fn a_manifest_that_was_changed_is_an_error() {
    let (_sample, cache, path) = filled().await;
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    let manifest = blob_path(&path, index["manifests"][0]["digest"].as_str().unwrap());
    let changed = fs::read_to_string(&manifest)
        .unwrap()
        .replace("RUN make", "RUN fake");
    fs::write(&manifest, changed).unwrap();
    assert!(matches!(
        found(&cache, 'a').await,
        Err(CacheError::Layout(_))
    ));
}

#[tokio::test]
async fn a_record_without_its_layer_is_an_error() {
    let (sample, cache, path) = filled().await;
    let layer = blob_path(&path, &sample.record.layer.digest.to_string());
    fs::write(&layer, "lay").unwrap();
    assert!(matches!(
        found(&cache, 'a').await,
        Err(CacheError::Layout(_))
    ));
    fs::remove_file(&layer).unwrap();
    assert!(matches!(
        found(&cache, 'a').await,
        Err(CacheError::Layout(_))
    ));
}

#[tokio::test]
async fn a_record_that_was_renamed_is_refused() {
    let (_sample, cache, path) = filled().await;
    let index = fs::read_to_string(path.join("index.json")).unwrap();
    let renamed = index.replace(&key('a').to_string(), &key('b').to_string());
    fs::write(path.join("index.json"), renamed).unwrap();
    assert!(matches!(
        found(&cache, 'b').await,
        Err(CacheError::NoRecord { .. })
    ));
    assert_eq!(found(&cache, 'a').await.unwrap(), None);
}

#[tokio::test]
async fn a_layer_that_is_not_what_its_record_says_is_not_kept() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    let other = Sample::new(b"other");
    assert!(
        cache
            .save(key('a'), &sample.record, LayerBytes::of(&other.blob))
            .await
            .is_err()
    );
    assert_eq!(found(&cache, 'a').await.unwrap(), None);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_an_error() {
    let sample = Sample::new(b"layer");
    let file = sample.folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = LayerCache::new(Location::Directory(file.join("cache")), &client(), HOUR);
    assert!(
        cache
            .save(key('a'), &sample.record, LayerBytes::of(&sample.blob))
            .await
            .is_err()
    );
}
