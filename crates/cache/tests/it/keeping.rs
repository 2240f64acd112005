//! Scopes, trails, and keeping a cache in order, in a directory.

use yadokari_cache::{
    EntryKind, LayerBytes, LayerCache, Location, Origin, Record, Scopes, Trail, TrailStage,
};

use crate::sample::{HOUR, Sample, client, key, made};

fn scoped(sample: &Sample, names: &[&str]) -> LayerCache {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    sample.directory_cache().scoped(Scopes::new(names))
}

async fn found(cache: &LayerCache, digit: char) -> Option<Record> {
    cache.lookup(key(digit), made() + HOUR).await.unwrap()
}

#[tokio::test]
async fn a_scope_sees_its_own_records_and_those_it_reads_from() {
    let sample = Sample::new(b"layer");
    let main = scoped(&sample, &["main"]);
    sample.keep(&main, key('a'), None).await;
    assert!(found(&main, 'a').await.is_some());
    assert!(
        found(&scoped(&sample, &["feature", "main"]), 'a')
            .await
            .is_some()
    );
    for others in [vec![], vec!["feature"], vec!["mai"], vec!["main/"]] {
        let cache = scoped(&sample, &others);
        assert!(found(&cache, 'a').await.is_none(), "{others:?}");
    }
    let nameless = sample.directory_cache();
    sample.keep(&nameless, key('b'), None).await;
    assert!(found(&main, 'b').await.is_none());
}

#[tokio::test]
async fn of_several_scopes_the_first_that_has_a_record_counts() {
    let (one, other) = (Sample::new(b"one"), Sample::new(b"other"));
    let path = one.folder.path().join("cache");
    let open = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        LayerCache::new(Location::Directory(path.clone()), &client(), 24 * HOUR)
            .scoped(Scopes::new(names))
    };
    one.keep(&open(&["main"]), key('a'), None).await;
    other.keep(&open(&["feature"]), key('a'), None).await;
    let layer = |found: Option<Record>| found.unwrap().layer.digest;
    assert_eq!(
        layer(found(&open(&["feature", "main"]), 'a').await),
        other.blob.digest
    );
    assert_eq!(
        layer(found(&open(&["main", "feature"]), 'a').await),
        one.blob.digest
    );
}

#[tokio::test]
async fn a_record_is_adopted_only_where_its_layer_is() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    assert!(!cache.adopt(key('b'), &sample.record, None).await.unwrap());
    sample.keep(&cache, key('a'), None).await;
    assert!(cache.holds(&sample.record).await.unwrap());
    assert!(cache.adopt(key('b'), &sample.record, None).await.unwrap());
    assert_eq!(found(&cache, 'b').await, Some(sample.record.clone()));
    let elsewhere = Sample::new(b"another layer");
    assert!(!cache.holds(&elsewhere.record).await.unwrap());
}

#[tokio::test]
async fn of_each_build_that_shares_a_name_the_latest_trail_is_kept() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    assert_eq!(cache.trails("app").await.unwrap().builds, []);
    let trail = |service: &str, stage: &str| Trail {
        made: "2020-01-02T03:04:05Z".to_owned(),
        origin: Origin {
            inputs: service.to_owned(),
            outputs: String::new(),
        },
        stages: vec![TrailStage {
            name: stage.to_owned(),
            ..TrailStage::default()
        }],
    };
    for (service, stage) in [("web", "one"), ("api", "two"), ("web", "three")] {
        let kept = cache.save_trail("app", trail(service, stage)).await;
        kept.unwrap();
    }
    assert_eq!(
        cache.trails("app").await.unwrap().builds,
        [trail("web", "three"), trail("api", "two")]
    );
    assert_eq!(cache.trails("other").await.unwrap().builds, []);
    assert_eq!(found(&cache, 'a').await, None);
}

#[tokio::test]
async fn what_is_removed_takes_its_bytes_along_and_leaves_those_of_others() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    for digit in ['a', 'b'] {
        sample.keep(&cache, key(digit), None).await;
    }
    let other = Sample::new(b"another layer");
    other.keep(&cache, key('c'), None).await;
    let entries = cache.entries().await.unwrap();
    assert_eq!(entries.len(), 3);
    assert!(
        entries
            .iter()
            .all(|entry| matches!(entry.kind, EntryKind::Record(_)))
    );
    assert_eq!(
        cache.verify(&entries).await.unwrap().len(),
        3,
        "no sample is an archive"
    );

    cache.remove(&[&entries[0]]).await.unwrap();
    assert!(found(&cache, 'a').await.is_none());
    assert!(
        found(&cache, 'b').await.is_some(),
        "it shares its layer with the one that went"
    );
    cache.remove(&[&entries[1]]).await.unwrap();
    assert!(!cache.holds(&sample.record).await.unwrap());
    assert!(cache.holds(&other.record).await.unwrap());
    assert_eq!(cache.entries().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_directory_does_not_grow_when_the_same_is_written_again() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    let blobs = sample.folder.path().join("cache/blobs/sha256");
    let write = |round: u32| {
        let (cache, sample) = (&cache, &sample);
        async move {
            let made = format!("2020-01-02T03:04:{round:02}Z");
            let record = Record {
                created: made.clone(),
                ..sample.record.clone()
            };
            let kept = cache
                .save(key('a'), &record, LayerBytes::of(&sample.blob))
                .await;
            kept.unwrap();
            let trail = Trail {
                made,
                ..Trail::default()
            };
            cache.save_trail("app", trail).await.unwrap();
        }
    };
    write(1).await;
    let count = || std::fs::read_dir(&blobs).unwrap().count();
    let first = count();
    for round in 2..6 {
        write(round).await;
        assert_eq!(count(), first, "round {round}");
    }
    assert!(found(&cache, 'a').await.is_some());
}

#[tokio::test]
async fn what_a_cut_off_build_left_is_swept_once_it_is_old() {
    let sample = Sample::new(b"layer");
    let cache = sample.directory_cache();
    assert_eq!(cache.sweep(made(), false).unwrap().blobs, 0, "no cache yet");
    sample.keep(&cache, key('a'), None).await;
    let blobs = sample.folder.path().join("cache/blobs/sha256");
    let left = blobs.join("e".repeat(64));
    std::fs::write(&left, "left over").unwrap();
    let now = left.metadata().unwrap().modified().unwrap();
    assert_eq!(
        cache.sweep(now, false).unwrap().blobs,
        0,
        "it may be in the making"
    );
    assert_eq!(cache.sweep(now + 2 * HOUR, true).unwrap().bytes, 9);
    assert_eq!(cache.sweep(now + 2 * HOUR, false).unwrap().blobs, 1);
    assert!(found(&cache, 'a').await.is_some());
}
