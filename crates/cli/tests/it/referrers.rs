//! What refers to an image goes where the image goes, is listed, and goes away with it.

use serde_json::{Value, json};
use yadokari_testkit::Layout;

use crate::place::Place;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest that refers to the first image of the layout, beside it.
fn attach(layout: &Layout, kind: &str) -> String {
    let subject = layout.index().unwrap()["manifests"][0].clone();
    let subject =
        json!({"mediaType": MANIFEST, "digest": subject["digest"], "size": subject["size"]});
    let empty = layout
        .add_blob("application/vnd.oci.empty.v1+json", b"{}")
        .unwrap();
    let text = layout.add_blob("text/plain", kind.as_bytes()).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": empty, "layers": [text], "subject": subject,
    });
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let mut entry = layout.add_blob(MANIFEST, &bytes).unwrap();
    entry["artifactType"] = kind.into();
    let mut index = layout.index().unwrap();
    index["manifests"]
        .as_array_mut()
        .unwrap()
        .push(entry.clone());
    let path = layout.directory().join("index.json");
    std::fs::write(path, index.to_string()).unwrap();
    entry["digest"].as_str().unwrap().to_owned()
}

fn listed(place: &Place, name: &str) -> Vec<String> {
    let facts: Value = serde_json::from_str(&place.run(&["inspect", name])).unwrap();
    let referrers = facts["referrers"].as_array().cloned().unwrap_or_default();
    let digest = |entry: &Value| entry["digest"].as_str().unwrap().to_owned();
    referrers.iter().map(digest).collect()
}

#[test]
fn what_refers_to_an_image_goes_with_it_everywhere() {
    let place = Place::new();
    let layout = place.layout("app", "amd64");
    let expected = [attach(&layout, "a/sbom"), attach(&layout, "a/signature")];
    let name = place.name("one/app:1");
    place.run(&["push", "app", "--destination", &name]);
    assert_eq!(listed(&place, &name), expected);
    // A signature in the older way of cosign.
    let digest = place.run(&["copy", &name, &name]);
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let signature = format!("{}@{}", place.name("one/app"), expected[1]);
    place.run(&["copy", &signature, &place.name(&format!("one/app:{tag}"))]);

    let second = place.name("two/app:1");
    place.run(&["copy", &name, &second]);
    assert_eq!(listed(&place, &second), expected);
    assert_eq!(
        place.manifest("two/app", &tag),
        place.manifest("one/app", &tag)
    );

    place.run(&["copy", &name, "oci:kept:1"]);
    let third = place.name("three/app:1");
    assert_eq!(place.run(&["copy", "oci:kept:1", &third]), digest);
    assert_eq!(listed(&place, &third), expected);

    let bare = place.name("four/app:1");
    place.run(&["copy", "--referrers=false", &name, &bare]);
    assert_eq!(listed(&place, &bare), Vec::<String>::new());
    place.run(&[
        "copy",
        "--referrers=false",
        "oci:kept:1",
        &place.name("five/app:1"),
    ]);
    assert_eq!(
        listed(&place, &place.name("five/app:1")),
        Vec::<String>::new()
    );
}

#[test]
fn an_index_of_images_from_elsewhere_brings_what_refers_to_them() {
    let place = Place::new();
    let layout = place.layout("app", "amd64");
    let expected = attach(&layout, "a/sbom");
    let name = place.name("one/app:1");
    place.run(&["push", "app", "--destination", &name]);
    let index = place.name("two/app:1");
    place.run(&["index", "create", "--tag", &index, &name]);
    let digest = place.run(&["copy", &name, &name]);
    let below = format!("{}@{digest}", place.name("two/app"));
    assert_eq!(listed(&place, &below), [expected]);
}

#[test]
fn an_image_that_is_removed_takes_along_what_refers_to_it() {
    let place = Place::new();
    let layout = place.layout("old", "amd64");
    let referrer = attach(&layout, "a/sbom");
    place.run(&["push", "old", "-d", &place.name("app:old")]);
    place.layout("new", "amd64");
    place.run(&["push", "new", "-d", &place.name("app:new")]);
    place.run(&[
        "cleanup",
        &place.name("app"),
        "--match=old",
        "--dry-run=false",
    ]);
    assert_eq!(
        place.run(&["tags", "--referrers", &place.name("app")]),
        "new"
    );
    assert!(place.registry.manifest("app", &referrer).is_none());
}

#[test]
fn a_layout_with_several_images_is_asked_by_tag_or_digest() {
    let place = Place::new();
    let digests = ["one", "two"].map(|name| {
        place.layout(name, "amd64");
        place.run(&["copy", &format!("oci:{name}"), &format!("oci:both:{name}")])
    });
    for (source, digest) in [
        ("oci:both:one".to_owned(), &digests[0]),
        (format!("oci:both@{}", digests[1]), &digests[1]),
    ] {
        assert_eq!(&place.run(&["copy", &source, &place.name("app:x")]), digest);
    }
    let output = place.try_run(&["copy", "oci:both", &place.name("app:x")]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("2 images") && told.contains("oci:DIR:TAG"),
        "{told}"
    );
}
