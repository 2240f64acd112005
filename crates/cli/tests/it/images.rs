//! Commands that move images, with a registry on loopback.

use std::path::Path;

use serde_json::Value;
use yadokari_testkit::validate;

use crate::place::{Place, read};

#[test]
fn a_layout_and_its_archives_are_pushed_to_every_destination() {
    let place = Place::new();
    let layout = place.layout("amd", "amd64");
    let digest = layout.image().unwrap().digest();
    let (one, two) = (place.name("a/app:1"), place.name("b/app:2"));
    let (file, names) = (place.path("new/digest"), place.path("names"));
    place.run(&[
        "push",
        "amd",
        "-d",
        &one,
        "--destination",
        &two,
        "--digest-file",
        &file,
        "--image-name-tag-with-digest-file",
        &names,
    ]);
    assert_eq!(read(&file), digest);
    assert_eq!(read(&names), format!("{one}@{digest}\n{two}@{digest}\n"));
    validate::pushed(&place.registry.endpoint(), "b/app", "2").unwrap();
    for kind in ["oci-archive", "docker-archive"] {
        let archive = place.path(kind);
        place.run(&["copy", "oci:amd", &format!("{kind}:{archive}")]);
        let name = place.name(&format!("{kind}/app:1"));
        place.run(&["push", &archive, "--destination", &name]);
        validate::pushed(&place.registry.endpoint(), &format!("{kind}/app"), "1").unwrap();
    }
}

#[test]
fn what_cannot_be_pushed_is_named() {
    let place = Place::new();
    let output = place.try_run(&["push", "absent", "-d", &place.name("a:1")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("absent"),
        "{output:?}"
    );
    let output = place.try_run(&["push", "absent", "-d", "UPPER"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let left = std::fs::read_dir(place.directory.path().join("state")).unwrap();
    assert_eq!(left.count(), 0, "scratch is removed");
}

#[test]
fn what_was_not_given_is_asked_for_and_what_was_typed_is_called_so() {
    let place = Place::new();
    let cases: &[(&[&str], &str)] = &[
        (
            &["warm"],
            "error: nothing says which images to fetch\nhint: name them with --image, or a Dockerfile that does with --dockerfile\n",
        ),
        (
            &["cleanup", "r.example/a"],
            "error: nothing says which tags may go\nhint: give --keep NUMBER, --older-than DURATION or --match PATTERN\n",
        ),
        (
            &["index", "create", "r.example/a:1"],
            "error: nothing says the name of the index\nhint: give it with --tag, or look at the index with --dry-run\n",
        ),
        (
            &["tags", "r.example/a:1.0"],
            "error: `r.example/a:1.0`: name the repository alone, without a tag or digest\n",
        ),
        (
            &["inspect", "UPPER"],
            "error: `UPPER` is no image reference\n  cause: invalid reference format: repository name (library/UPPER) must be lowercase\n",
        ),
        (
            &["warm", "--platform=a b", "--image=a"],
            "error: --platform: `a b`: ",
        ),
    ];
    for (arguments, expected) in cases {
        let output = place.try_run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn images_built_apart_come_under_one_name() {
    let place = Place::new();
    let digests = [("amd", "amd64"), ("arm", "arm64")].map(|(name, architecture)| {
        let layout = place.layout(name, architecture);
        place.registry.add(&layout, "app", name).unwrap();
        layout.image().unwrap().digest()
    });
    let name = place.name("app:latest");
    let sources = digests
        .clone()
        .map(|digest| place.name(&format!("app@{digest}")));
    let facts = place.path("facts");
    let printed = place.run(&[
        "index",
        "create",
        "-t",
        &name,
        "--annotation=index:made=here",
        "--annotation=manifest-descriptor[linux/arm64]:arm=1",
        "--metadata-file",
        &facts,
        &sources[0],
        &sources[1],
    ]);
    let index = place.manifest("app", "latest");
    let listed: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(
        [&listed[0]["digest"], &listed[1]["digest"]],
        [&digests[0], &digests[1]]
    );
    assert_eq!(listed[1]["platform"]["architecture"], "arm64");
    assert_eq!(listed[1]["annotations"]["arm"], "1");
    assert!(listed[0].get("annotations").is_none());
    assert_eq!(index["annotations"]["made"], "here");
    let facts: Value = serde_json::from_str(&read(&facts)).unwrap();
    assert_eq!(facts["containerimage.digest"], printed);

    // Elsewhere, with what the images consist of; one at a time.
    let other = place.name("other/app:latest");
    place.run(&["index", "create", "--tag", &other, &place.name("app:amd")]);
    place.run(&[
        "index",
        "create",
        "--append",
        "--tag",
        &other,
        &place.name("app:arm"),
    ]);
    let index = place.manifest("other/app", "latest");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    for digest in &digests {
        validate::pushed(&place.registry.endpoint(), "other/app", digest).unwrap();
    }
    let dry = place.run(&["index", "create", "--dry-run", "-t", &name, &sources[1]]);
    let dry: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(dry["manifests"][0]["digest"], digests[1]);
    assert_eq!(
        place.manifest("app", "latest")["manifests"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn an_image_keeps_its_digest_wherever_it_is_copied() {
    let place = Place::new();
    for (name, architecture) in [("amd", "amd64"), ("arm", "arm64")] {
        let layout = place.layout(name, architecture);
        place.registry.add(&layout, "app", name).unwrap();
    }
    let name = place.name("app:all");
    let digest = place.run(&[
        "index",
        "create",
        "-t",
        &name,
        &place.name("app:amd"),
        &place.name("app:arm"),
    ]);
    let way = [
        place.name("second/app:all"),
        format!("oci:{}:kept", place.path("layout")),
        format!("oci-archive:{}", place.path("image.tar")),
        place.name("third/app:all"),
    ];
    let mut from = name.clone();
    for to in way {
        assert_eq!(place.run(&["copy", &from, &to]), digest, "{from} to {to}");
        from = to;
    }
    assert_eq!(
        place.manifest("third/app", "all"),
        place.manifest("app", "all")
    );
    let arm = place.run(&[
        "copy",
        "--platform=linux/arm64",
        &name,
        &place.name("one:arm"),
    ]);
    assert_eq!(place.manifest("app", "arm"), place.manifest("one", &arm));
    let facts: Value = serde_json::from_str(&place.run(&["inspect", &name])).unwrap();
    assert_eq!(facts["digest"], digest);
    assert_eq!(facts["manifests"][1]["platform"], "linux/arm64");
    let config = place.run(&["inspect", "--config", "--platform=linux/arm64", &name]);
    assert_eq!(
        serde_json::from_str::<Value>(&config).unwrap()["architecture"],
        "arm64"
    );
}

#[test]
fn warmed_layers_are_not_fetched_again() {
    yadokari_testkit::skip_unless!(yadokari_testkit::needs::root());
    let place = Place::new();
    let layout = place.layout("base", "amd64");
    place.registry.add(&layout, "base", "1").unwrap();
    let base = place.name("base:1");
    std::fs::create_dir(place.path("context")).unwrap();
    let dockerfile = "ARG FROM=none\nFROM $FROM AS a\nFROM a\nCOPY Dockerfile /\n";
    std::fs::write(place.path("context/Dockerfile"), dockerfile).unwrap();
    let argument = format!("FROM={base}");
    let warm = ["warm", "--cache-dir=cache", "--custom-platform=linux/amd64"];
    let by_name = [&warm[..], &["--image", &base]].concat();
    let by_file = [
        &warm[..],
        &["--dockerfile=context/Dockerfile", "--build-arg", &argument],
    ]
    .concat();
    place.run(&by_file);
    validate::layout(Path::new(&place.path("cache"))).unwrap();
    let after_first = place.blobs_read();
    place.run(&by_name);
    assert_eq!(
        place.blobs_read(),
        after_first + 1,
        "only the config is read again"
    );
    let before = place.blobs_read();
    place.run(&[
        "build",
        "--cache-dir=cache",
        "--build-arg",
        &argument,
        "--platform=linux/amd64",
        "--output=type=oci,dest=image.tar",
        "context",
    ]);
    assert_eq!(place.blobs_read(), before + 1, "only the config is read");
}
