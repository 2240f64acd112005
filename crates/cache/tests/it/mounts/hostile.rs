//! Records that somebody else put under the tag.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use yadokari_cache::mounts::MountError;
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Manifest, Reference, json as document};
use yadokari_store::{Content, Export, ImageBlobs, LayerBlob, Layout, Others};

use super::{Files, identity, in_directory, noise};

/// A record with whatever listing and content.
struct Forged {
    listing: Vec<u8>,
    content: Vec<u8>,
    entries: u64,
    bytes: u64,
    /// What the first content chunk claims to be; its own digest otherwise.
    claimed: Option<Digest>,
}

impl Forged {
    fn new(listing: &str, content: &[u8]) -> Self {
        let lines = listing
            .lines()
            .filter(|line| !line.starts_with("/ "))
            .count();
        Self {
            listing: listing.as_bytes().to_vec(),
            content: content.to_vec(),
            entries: lines as u64,
            bytes: content.len() as u64,
            claimed: None,
        }
    }

    /// Puts the record into the layout that the store of `folder` reads.
    fn put(&self, folder: &Path) {
        let layout = folder.join("saved");
        let parts = [&self.listing, &self.content];
        let blobs: Vec<Vec<u8>> = parts
            .map(|raw| zstd::bulk::compress(raw, 1).unwrap())
            .into();
        let chunk = |raw: &[u8], layer: usize, claimed: Option<Digest>| {
            let raw_digest = claimed.unwrap_or_else(|| Digest::of(raw));
            match raw.is_empty() {
                true => vec![],
                false => vec![json!({"raw": raw_digest, "size": raw.len(), "layer": layer})],
            }
        };
        let config = json!({
            "version": 1, "name": identity("npm").name().as_str(), "id": "npm", "platform": "linux/amd64",
            "created": "2020-01-02T03:04:05Z", "entries": self.entries, "bytes": self.bytes,
            "listing": chunk(&self.listing, 0, None), "content": chunk(&self.content, 1, self.claimed),
        });
        let config = document::compact(&config);
        let described = Descriptor::of(
            "application/vnd.yadokari.cache-mount.config.v1+json",
            &config,
        );
        let layers: Vec<_> = blobs
            .iter()
            .map(|blob| Descriptor::of("chunk", blob))
            .collect();
        let manifest = document::compact(&Manifest::new(Family::Oci, described, layers.clone()));
        let layers = layers.into_iter().zip(blobs).map(|(descriptor, blob)| {
            LayerBlob::new(descriptor, move || {
                Ok(Box::new(std::io::Cursor::new(blob.clone())))
            })
        });
        let image = ImageBlobs::new(manifest, config, layers.collect()).unwrap();
        let mut export = Export::new(Content::Image(image));
        let tag = identity("npm").name().tag();
        export.names =
            vec![Reference::parse(&format!("cache.yadokari.invalid/mount:{tag}")).unwrap()];
        Layout::write(layout, &[export], Others::Forget).unwrap();
    }

    /// Tries to restore the record.
    async fn restore(&self) -> (tempfile::TempDir, Result<(), MountError>) {
        let folder = tempfile::tempdir().unwrap();
        self.put(folder.path());
        let store = in_directory(folder.path());
        let result = match store.find(&identity("npm")).await {
            Ok(found) => {
                let back = folder.path().join("in/back");
                store.restore(&found.unwrap(), &back, 2).await.map(drop)
            }
            Err(error) => Err(error),
        };
        (folder, result)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_record_made_by_hand_is_restored() {
    let (folder, result) = Forged::new(
        "/ 0700\n/d/ 0755\n/d/f 0644 <file 5>\n/g 0600 <file 2>\n",
        b"12345ab",
    )
    .restore()
    .await;
    result.unwrap();
    assert_eq!(
        fs::read(folder.path().join("in/back/d/f")).unwrap(),
        b"12345"
    );
    assert_eq!(fs::read(folder.path().join("in/back/g")).unwrap(), b"ab");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_lie_are_refused_and_nothing_lands_outside() {
    let big = u64::MAX;
    let cases: Vec<(&str, Forged)> = vec![
        ("a device", Forged::new("/n 0666 <char 1:3>\n", b"")),
        ("a socket", Forged::new("/n 0666 <socket>\n", b"")),
        (
            "a file below a link",
            Forged::new("/l -> /tmp\n/l/evil 0644 <file 1>\n", b"x"),
        ),
        (
            "a file below a file",
            Forged::new("/l 0644 <file 1>\n/l/evil 0644 <file 1>\n", b"xy"),
        ),
        ("a link to nothing", Forged::new("/l => /missing\n", b"")),
        (
            "more files than content",
            Forged::new("/a 0644 <file 9>\n", b"12345"),
        ),
        (
            "more content than files",
            Forged::new("/a 0644 <file 1>\n", b"12345"),
        ),
        (
            "sizes that overflow",
            Forged::new(
                &format!("/a 0644 <file {big}>\n/b 0644 <file 6>\n"),
                b"12345",
            ),
        ),
        (
            "another number of entries",
            Forged {
                entries: 7,
                ..Forged::new("/a 0644 <file 1>\n", b"x")
            },
        ),
        (
            "another size",
            Forged {
                bytes: 7,
                ..Forged::new("/a 0644 <file 1>\n", b"x")
            },
        ),
        (
            "another digest",
            Forged {
                claimed: Some(Digest::of(b"y")),
                ..Forged::new("/a 0644 <file 1>\n", b"x")
            },
        ),
        (
            "no text",
            Forged {
                listing: vec![0xff, 0xfe],
                ..Forged::new("", b"")
            },
        ),
        (
            "a huge chunk",
            Forged::new("/a 0644 <file 5000000>\n", &noise(5_000_000, 1)),
        ),
    ];
    for (what, forged) in cases {
        let (folder, result) = forged.restore().await;
        assert!(result.is_err(), "{what}");
        assert!(!Path::new("/tmp/evil").exists(), "{what}");
        assert!(!folder.path().join("in/evil").exists(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_climb_stay_inside() {
    let (folder, result) = Forged::new("/../../evil 0644 <file 1>\n", b"x")
        .restore()
        .await;
    result.unwrap();
    assert!(folder.path().join("in/back/evil").exists());
    assert!(!folder.path().join("in/evil").exists() && !folder.path().join("evil").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_missing_chunks_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = in_directory(folder.path());
    let (saved, _) = Files::new(&[("a", &noise(3 << 20, 1))])
        .keep(&store, None)
        .await;
    let blobs = folder.path().join("saved/blobs/sha256");
    let mut by_size: Vec<PathBuf> = fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    by_size.sort_by_key(|path| fs::metadata(path).unwrap().len());
    let chunk = by_size.last().unwrap();
    let good = fs::read(chunk).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    let broken: [&dyn Fn(); 3] = [
        &|| fs::write(chunk, &bad).unwrap(),
        &|| fs::write(chunk, &good[1..]).unwrap(),
        &|| fs::remove_file(chunk).unwrap(),
    ];
    for (number, breaks) in broken.into_iter().enumerate() {
        breaks();
        let back = folder.path().join(format!("back-{number}"));
        assert!(store.restore(&saved, &back, 2).await.is_err(), "{number}");
    }
}
