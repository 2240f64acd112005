//! Dockerfiles with very many stages.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;
use yadokari_testkit::{needs, skip_unless};

/// Builds a Dockerfile as a docker archive and gives its configuration.
fn configuration(dockerfile: &str) -> Value {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "x").unwrap();
    std::fs::write(place.path().join("Dockerfile"), dockerfile).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", "--oci-layout", "image", "."])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("YADOKARI_DIR", place.path().join("state"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let layout = place.path().join("image");
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(layout.join(path)).unwrap()).unwrap()
    };
    let blob = |digest: &Value| {
        read(&format!(
            "blobs/{}",
            digest.as_str().unwrap().replace(':', "/")
        ))
    };
    let manifest = blob(&read("index.json")["manifests"][0]["digest"]);
    blob(&manifest["config"]["digest"])
}

#[test]
fn five_thousand_stages_can_stand_on_each_other() {
    skip_unless!(needs::root());
    let mut dockerfile = "FROM scratch AS s0\nCOPY file /\n".to_owned();
    for stage in 1..=5000 {
        writeln!(
            dockerfile,
            "FROM s{} AS s{stage}\nLABEL at={stage}",
            stage - 1
        )
        .unwrap();
    }
    let config = configuration(&dockerfile);
    assert_eq!(config["config"]["Labels"]["at"], "5000");
    let rows = config["history"].as_array().unwrap();
    assert_eq!(rows.len(), 5001);
    assert_eq!(rows[0]["created_by"], "COPY file / # buildkit");
    assert_eq!(rows[1]["created_by"], "LABEL at=1");
    assert_eq!(rows[5000]["created_by"], "LABEL at=5000");
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn a_thousand_stages_can_copy_from_each_other() {
    skip_unless!(needs::root());
    let mut dockerfile = "FROM scratch AS s0\nCOPY file /\n".to_owned();
    for stage in 1..=1000 {
        let from = stage - 1;
        writeln!(
            dockerfile,
            "FROM scratch AS s{stage}\nCOPY --from=s{from} /file /"
        )
        .unwrap();
    }
    let config = configuration(&dockerfile);
    assert_eq!(config["history"].as_array().unwrap().len(), 1);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
}
