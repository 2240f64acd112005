//! What saving costs, and what happens when two jobs do it at once.

use std::fs;
use std::time::Duration;

use yadokari_cache::mounts::{MountError, SavedNow};
use yadokari_cache::{EntryKind, LayerCache, Location, Scopes};
use yadokari_image::Repository;
use yadokari_testkit::registry::{Options, Registry};
use yadokari_testkit::{EmbeddedRegistry, needs, skip_unless};

use super::{Files, identity, in_directory, in_registry, noise, restored};
use crate::sample::client;

const MIB: usize = 1 << 20;

fn pushes(registry: &EmbeddedRegistry) -> usize {
    let requests = registry.requests();
    let writes = |line: &&String| {
        ["PUT", "POST", "PATCH"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    requests.iter().filter(writes).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_change_in_a_large_mount_sends_little_and_no_change_sends_nothing() {
    let registry = EmbeddedRegistry::start().unwrap();
    let store = in_registry(&registry, None);
    let files = Files::new(&[]);
    for number in 0..256 {
        files.write(
            &format!("{}/{number}", number % 16),
            &noise(MIB / 4, number + 1),
        );
    }
    let (saved, first) = files.keep(&store, None).await;
    assert!(first > 64 * MIB as u64, "{first}");
    let (_folder, before) = restored(&store, &saved).await;

    let quiet = pushes(&registry);
    let unchanged = files.save(&store, Some(&saved), Some(&before.tree)).await;
    assert_eq!(unchanged.unwrap(), SavedNow::Unchanged);
    assert_eq!(pushes(&registry), quiet);

    files.write("9/25", &noise(MIB / 4, 1000));
    let (saved, sent) = files.keep(&store, Some(&saved)).await;
    assert!(sent < 4 * MIB as u64, "{sent} bytes for one changed file");
    files.write("3/new", &noise(50_000, 999));
    let (saved, sent) = files.keep(&store, Some(&saved)).await;
    assert!(sent < 4 * MIB as u64, "{sent} bytes for one new file");
    let (_folder, after) = restored(&store, &saved).await;
    assert_eq!(after.tree.len(), before.tree.len() + 1);
    let (_, sent) = files.keep(&store, None).await;
    assert_eq!(sent, 0, "what is there already is not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_save_at_once_one_stays_whole() {
    let registry = EmbeddedRegistry::start().unwrap();
    let store = in_registry(&registry, None);
    let shared = noise(3 * MIB, 1);
    let one = Files::new(&[("shared", &shared), ("only/one", b"1")]);
    let two = Files::new(&[("shared", &shared), ("only/two", &noise(MIB, 2))]);
    for _ in 0..4 {
        let (first, second) = tokio::join!(one.keep(&store, None), two.keep(&store, None));
        let stays = store.find(&identity("npm")).await.unwrap().unwrap();
        assert!([first.0.digest, second.0.digest].contains(&stays.digest));
        let (folder, _) = restored(&store, &stays).await;
        let has = |name: &str| folder.path().join("back").join(name).exists();
        assert!(has("shared") && (has("only/one") != has("only/two")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_over_the_limit_is_not_saved_and_one_that_outgrew_it_starts_again() {
    let registry = EmbeddedRegistry::start().unwrap();
    let limit = 1000;
    let store = in_registry(&registry, Some(limit));
    let files = Files::new(&[("a", &noise(2000, 1))]);
    let refused = files.save(&store, None, None).await.unwrap();
    let expected = |bytes, emptied| SavedNow::TooLarge {
        bytes,
        limit,
        emptied,
    };
    assert_eq!(refused, expected(2000, false));
    assert!(store.find(&identity("npm")).await.unwrap().is_none());

    files.write("a", b"small");
    let (saved, _) = files.keep(&store, None).await;
    files.write("b", &noise(999, 2));
    let outgrown = files.save(&store, Some(&saved), None).await.unwrap();
    assert_eq!(outgrown, expected(1004, true));
    let empty = store.find(&identity("npm")).await.unwrap().unwrap();
    assert_eq!((empty.bytes, empty.entries), (0, 0));
    let (_folder, back) = restored(&store, &empty).await;
    assert!(back.tree.is_empty());
    let still = files
        .save(&store, Some(&empty), Some(&back.tree))
        .await
        .unwrap();
    assert_eq!(
        still,
        expected(1004, false),
        "what is empty is not emptied again"
    );

    let generous = in_registry(&registry, None);
    let (saved, _) = files.keep(&generous, None).await;
    let folder = tempfile::tempdir().unwrap();
    let refused = store.restore(&saved, &folder.path().join("back"), 2).await;
    assert!(matches!(
        refused,
        Err(MountError::TooLarge { bytes: 1004, .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_were_cleaned_away_are_sent_again() {
    skip_unless!(needs::registry());
    let registry = Registry::start(Options::default()).unwrap();
    let store = |path| {
        let repository = Repository::new(&registry.address(), path).unwrap();
        yadokari_cache::mounts::MountStore::new(Location::Repository(repository), &client(), None)
    };
    let (full, cleaned) = (store("full/cache"), store("cleaned/cache"));
    let files = Files::new(&[("a", &noise(3 * MIB, 1))]);
    let (saved, _) = files.keep(&full, None).await;
    files.write("b", b"new");
    // The other repository has none of the chunks that the base names.
    let (saved, _) = files.keep(&cleaned, Some(&saved)).await;
    let (folder, _) = restored(&cleaned, &saved).await;
    assert_eq!(fs::read(folder.path().join("back/b")).unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_read_one_another_and_write_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let scoped = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        in_directory(folder.path()).scoped(Scopes::new(names))
    };
    let (main, feature) = (scoped(&["main"]), scoped(&["feature/x", "main"]));
    Files::new(&[("f", b"main's")]).keep(&main, None).await;
    let seen = feature.find(&identity("npm")).await.unwrap().unwrap();
    Files::new(&[("f", b"the feature's")])
        .keep(&feature, Some(&seen))
        .await;
    let bytes = |found: Option<yadokari_cache::mounts::Saved>| found.unwrap().bytes;
    assert_eq!(bytes(main.find(&identity("npm")).await.unwrap()), 6);
    assert_eq!(bytes(feature.find(&identity("npm")).await.unwrap()), 13);
    assert!(
        in_directory(folder.path())
            .find(&identity("npm"))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_image_under_the_tag_counts_as_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_directory(folder.path());
    assert!(
        store.find(&identity("npm")).await.unwrap().is_none(),
        "no directory yet"
    );
    let empty = Files::new(&[]);
    assert_eq!(
        empty.save(&store, None, None).await.unwrap(),
        SavedNow::Unchanged
    );
    assert!(
        !folder.path().join("saved").exists(),
        "an empty mount is not worth a record"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_no_chunk_that_nothing_needs() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_directory(folder.path());
    let blobs = || {
        fs::read_dir(folder.path().join("saved/blobs/sha256"))
            .unwrap()
            .count()
    };
    let files = Files::new(&[("a", &noise(MIB, 1)), ("z", &noise(MIB, 2))]);
    let (mut saved, _) = files.keep(&store, None).await;
    let first = blobs();
    for round in 10..20 {
        files.write("m", &noise(MIB / 2, round));
        (saved, _) = files.keep(&store, Some(&saved)).await;
        let (_folder, back) = restored(&store, &saved).await;
        assert_eq!(back.tree.len(), 3);
    }
    assert!(
        blobs() <= first + 3,
        "{first} at first, {} after ten changes",
        blobs()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_the_house_sees_verifies_and_removes_mounts() {
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved");
    let place = Location::Directory(saved.clone());
    let cache = LayerCache::new(place, &client(), Duration::MAX);
    let (kept, _) = Files::new(&[("a", &noise(MIB, 1))])
        .keep(&in_directory(folder.path()), None)
        .await;
    let entries = cache.entries().await.unwrap();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    let EntryKind::Mount(found) = &entry.kind else {
        panic!("{entry:?}");
    };
    assert_eq!(
        (found.id.as_str(), found.digest, found.bytes),
        ("npm", kept.digest, kept.bytes)
    );
    assert!(entry.size > MIB as u64 && entry.created == kept.created);
    assert_eq!(cache.verify(&entries).await.unwrap(), []);
    for blob in fs::read_dir(saved.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        if fs::metadata(&path).unwrap().len() > MIB as u64 / 2 {
            fs::write(&path, b"?").unwrap();
        }
    }
    assert_eq!(cache.verify(&entries).await.unwrap().len(), 1);
    cache.remove(&[entry]).await.unwrap();
    assert_eq!(cache.entries().await.unwrap(), []);
    assert_eq!(fs::read_dir(saved.join("blobs/sha256")).unwrap().count(), 0);
}
