//! The law of the fuzz target `documents`, over documents with random changes.

use proptest::prelude::*;

#[expect(
    unreachable_pub,
    reason = "the fuzz targets' library has this file too"
)]
#[path = "../../fuzz/src/documents.rs"]
mod target;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// One document of each kind.
fn documents() -> Vec<String> {
    let descriptor = |media: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{media}","digest":"{DIGEST}","size":0,"annotations":{{"a":"b"}}}}"#
        )
    };
    let (layer, config) = (
        descriptor("layer.v1.tar+gzip"),
        descriptor("config.v1+json"),
    );
    let manifest = descriptor("manifest.v1+json");
    vec![
        format!("example.com:5000/group/name:tag@{DIGEST}"),
        "busybox".to_owned(),
        DIGEST.to_owned(),
        "linux/arm/v7".to_owned(),
        "windows(10.0.17763)/amd64".to_owned(),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{layer}],"annotations":{{"k":"v"}},"unknown":[1.5,null]}}"#
        ),
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{manifest}]}}"#
        ),
        format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2020-01-02T03:04:05Z","config":{{"Env":["A=b"],"Cmd":null,"Labels":{{"l":"v"}},"Healthcheck":{{"Test":["NONE"]}},"ExposedPorts":{{"80/tcp":{{}}}}}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},"history":[{{"created_by":"x","empty_layer":true}}],"more":{{"x":[]}}}}"#
        ),
    ]
}

/// Pieces that mean something in one of the documents.
const PIECES: [&str; 22] = [
    ":",
    "@",
    "/",
    "//",
    "..",
    "-",
    "sha256:",
    "null",
    "{}",
    "[]",
    "\"\"",
    ",",
    "{",
    "}",
    "1e999",
    "-1",
    "18446744073709551616",
    "\\u0000",
    "é",
    "A",
    " ",
    "\"size\":1,",
];

#[test]
fn whole_and_cut_off_documents_come_back_or_are_refused() {
    for document in documents() {
        target::check(document.as_bytes());
        for end in 0..document.len() {
            target::check(&document.as_bytes()[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn so_do_documents_in_which_something_was_changed(
        document in prop::sample::select(documents()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..5_usize, prop::sample::select(PIECES.to_vec())), 1..5),
    ) {
        let mut bytes = document.into_bytes();
        for (at, length, piece) in changes {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, piece.bytes());
        }
        target::check(&bytes);
    }

    #[test]
    fn so_do_short_texts(text in "[a-zA-Z0-9:/@._+-]{0,40}") {
        target::check(text.as_bytes());
    }
}
