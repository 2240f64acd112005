//! The embedded registry, spoken to by `skopeo` and by hand.

use std::process::Command;

use yadokari_testkit::{EmbeddedRegistry, base, digest, needs, process, skip_unless, validate};

#[test]
fn skopeo_copies_to_it_and_from_it() {
    skip_unless!(needs::program("skopeo"), needs::program("curl"));
    let registry = EmbeddedRegistry::start().unwrap();
    let (base, scratch) = (base::busybox().unwrap(), tempfile::tempdir().unwrap());
    let source = format!("oci:{}", base.directory().display());
    let address = registry.address();
    let targets = [
        format!("docker://{address}/group/app:v1"),
        format!("docker://{address}/group/copy:v2"),
        format!("oci:{}", scratch.path().join("back").display()),
    ];
    let mut from = source;
    for target in targets {
        let mut copy = Command::new("skopeo");
        copy.args([
            "copy",
            "-q",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &from,
            &target,
        ]);
        process::run(&mut copy).unwrap();
        from = target;
    }
    let image = validate::layout(&scratch.path().join("back")).unwrap();
    assert_eq!(image.digest(), base.image().unwrap().digest());
    validate::pushed(&registry.endpoint(), "group/copy", "v2").unwrap();
}

#[test]
fn bytes_that_do_not_match_their_digest_are_refused() {
    skip_unless!(needs::program("curl"));
    let registry = EmbeddedRegistry::start().unwrap();
    let endpoint = registry.endpoint();
    let claimed = digest::of(b"claimed");
    let url = endpoint.url(&format!("app/blobs/uploads/?digest={claimed}"));
    let answer = endpoint
        .call(&url, &["-X", "POST", "--data-binary", "other"])
        .unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(
        endpoint
            .call(&endpoint.url(&format!("app/blobs/{claimed}")), &[])
            .unwrap()
            .status,
        404
    );
}

#[test]
fn uploads_go_in_chunks_and_come_back_in_ranges() {
    skip_unless!(needs::program("curl"));
    let registry = EmbeddedRegistry::start().unwrap();
    let endpoint = registry.endpoint();
    let start = endpoint
        .call(
            &endpoint.url("app/blobs/uploads/"),
            &["-X", "POST", "-d", ""],
        )
        .unwrap();
    let place = format!("http://{}{}", registry.address(), start.location);
    let chunked = [
        "-X",
        "PATCH",
        "-H",
        "Transfer-Encoding: chunked",
        "-d",
        "first,",
    ];
    assert_eq!(endpoint.call(&place, &chunked).unwrap().status, 202);
    let misplaced = ["-X", "PATCH", "-H", "Content-Range: 99-103", "-d", "wrong"];
    assert_eq!(endpoint.call(&place, &misplaced).unwrap().status, 416);
    let whole = digest::of(b"first,last");
    let finish = format!("{place}?digest={whole}");
    assert_eq!(
        endpoint
            .call(&finish, &["-X", "PUT", "-d", "last"])
            .unwrap()
            .status,
        201
    );

    let blob = endpoint.url(&format!("app/blobs/{whole}"));
    let ranged = endpoint.call(&blob, &["-r", "6-"]).unwrap();
    assert_eq!(
        (ranged.status, ranged.body.as_slice()),
        (206, b"last".as_slice())
    );
    assert_eq!(endpoint.call(&blob, &["-r", "99-"]).unwrap().status, 416);
}

#[test]
fn a_manifest_needs_its_parts_and_a_mount_brings_them() {
    skip_unless!(needs::program("curl"));
    let registry = EmbeddedRegistry::start().unwrap();
    let (endpoint, base) = (registry.endpoint(), base::busybox().unwrap());
    endpoint.push(&base, "one", "latest").unwrap();
    let image = base.image().unwrap();
    let manifest = base.blob_path(&image.digest());
    let put = |repository: &str| {
        let url = endpoint.url(&format!("{repository}/manifests/latest"));
        endpoint
            .call(&url, &["-X", "PUT", "-T", manifest.to_str().unwrap()])
            .unwrap()
            .status
    };
    assert_eq!(put("two"), 404);
    let config = image.manifest["config"]["digest"]
        .as_str()
        .unwrap()
        .to_string();
    for digest in image.layers().into_iter().chain([config]) {
        let url = endpoint.url(&format!("two/blobs/uploads/?mount={digest}&from=one"));
        assert_eq!(
            endpoint
                .call(&url, &["-X", "POST", "-d", ""])
                .unwrap()
                .status,
            201
        );
    }
    assert_eq!(put("two"), 201);
    assert_eq!(endpoint.tags("two").unwrap(), ["latest"]);
}

#[test]
fn tags_come_in_pages_and_go_with_their_manifest() {
    skip_unless!(needs::program("curl"));
    let registry = EmbeddedRegistry::start().unwrap();
    let (endpoint, base) = (registry.endpoint(), base::busybox().unwrap());
    for tag in ["a", "b", "c"] {
        endpoint.push(&base, "app", tag).unwrap();
    }
    let page = endpoint
        .call(&endpoint.url("app/tags/list?n=2&last=a"), &[])
        .unwrap();
    assert!(
        page.body.ends_with(br#""tags":["b","c"]}"#),
        "{}",
        String::from_utf8_lossy(&page.body)
    );
    let manifest = endpoint.url(&format!("app/manifests/{}", base.image().unwrap().digest()));
    assert_eq!(
        endpoint.call(&manifest, &["-X", "DELETE"]).unwrap().status,
        202
    );
    assert!(endpoint.tags("app").unwrap().is_empty());
}
