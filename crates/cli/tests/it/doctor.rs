//! What the doctor says of registries and of the credentials that there are for them.

use std::process::Command;

use serde_json::Value;

use crate::web::Web;

/// base64 of `user:hunter2`.
const LOGIN: &str = "dXNlcjpodW50ZXIy";

/// A registry that lets in whoever has the login, and lets nobody push to `closed`.
fn registry() -> Web {
    Web::start(|_, request| {
        let login = format!("authorization: Basic {LOGIN}");
        let head = if !request.headers.contains(&login) {
            "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\""
        } else if request.line.starts_with("POST /v2/open/") {
            "202 Accepted\r\nLocation: /v2/open/blobs/uploads/1"
        } else if request.line.starts_with("POST ") {
            "403 Forbidden"
        } else {
            "200 OK"
        };
        (head.to_owned(), Vec::new())
    })
}

#[test]
fn a_registry_that_was_asked_about_and_does_not_answer_is_a_failure() {
    let web = registry();
    let place = tempfile::tempdir().unwrap();
    let code = |hosts: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yadokari"));
        command
            .arg("doctor")
            .args(hosts)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", place.path().join("state"));
        command.output().unwrap().status.code()
    };
    assert_eq!(code(&[&web.address]), code(&[]), "it answers");
    assert_eq!(code(&["127.0.0.1:1"]), Some(1));
}

#[test]
fn credentials_are_named_by_their_source_and_tried() {
    let web = registry();
    let place = tempfile::tempdir().unwrap();
    let host = &web.address;
    let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{LOGIN}"}}}}}}"#);
    std::fs::write(place.path().join("config.json"), config).unwrap();
    let doctor = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yadokari"));
        command
            .args(["doctor", &format!("{host}/open"), &format!("{host}/closed")])
            .args(more)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("DOCKER_CONFIG", place.path())
            .env("YADOKARI_DIR", place.path().join("state"));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for secret in ["hunter2", LOGIN] {
            assert!(!text.contains(secret), "{text}");
        }
        text
    };
    let text = doctor(&[]);
    let config = place.path().join("config.json").display().to_string();
    for words in [
        config.as_str(),
        "pushing is allowed",
        "pushing is refused: ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json: Value = serde_json::from_str(&doctor(&["--json"])).unwrap();
    let answers = json["registries"].as_array().unwrap();
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer["registry"].as_str(), answer["answers"].as_bool()))
        .collect();
    let (open, closed) = (format!("{host}/open"), format!("{host}/closed"));
    let expected = [
        (Some(open.as_str()), Some(true)),
        (Some(closed.as_str()), Some(false)),
    ];
    assert_eq!(seen, expected, "{json:#}");
    for answer in answers {
        assert!(answer["credentials"].to_string().contains(&config));
    }
}
