//! What the libraries below have to say, and from which verbosity on.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::web::Web;

/// Lists the tags of a repository, with `config.json` of docker.
fn tags(web: &Web, config: &str, more: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["tags", &format!("{}/group/app", web.address)])
        .args(more)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("YADOKARI_DIR", folder.path().join("state"))
        .env("DOCKER_CONFIG", folder.path())
        .output()
        .unwrap()
}

fn busy_once() -> Web {
    Web::start(|number, _| match number {
        0 => ("503 Busy\r\nRetry-After: 0".to_owned(), Vec::new()),
        _ => (
            "200 OK".to_owned(),
            br#"{"name":"group/app","tags":["a"]}"#.to_vec(),
        ),
    })
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"a\n");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_second_try_is_told_of_in_one_plain_line() {
    let told = told(&tags(&busy_once(), "{}", &[]));
    let line = told.lines().find(|line| line.contains("trying again"));
    let line = line.unwrap_or_else(|| panic!("{told:?}"));
    assert!(line.starts_with("warning: trying again: "), "{line}");
    assert!(line.contains("503") && line.contains("attempt 1"), "{line}");
    assert!(!line.contains("what="), "no spans: {line}");
}

#[test]
fn who_wants_errors_only_is_told_of_no_second_try() {
    assert_eq!(told(&tags(&busy_once(), "{}", &["-v", "error"])), "");
}

#[test]
fn a_second_try_is_an_object_where_messages_are_objects() {
    let told = told(&tags(&busy_once(), "{}", &["--log-format", "json"]));
    let line: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["fields"]["message"], "trying again");
    assert!(line.get("spans").is_none(), "{line}");
}

#[test]
fn a_credential_helper_that_is_not_there_is_told_of() {
    let told = told(&tags(&busy_once(), r#"{"credsStore":"not-here"}"#, &[]));
    let expected = "warning: a source of credentials failed: ";
    let line = told.lines().find(|line| line.starts_with(expected));
    assert!(line.is_some_and(|line| line.contains("not-here")), "{told}");
}

/// What a build of a Dockerfile with a mistake says that was started with these arguments too.
fn failed(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM scratch\nRUNN make\n",
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", ".", "--no-push"])
        .args(arguments)
        .env_clear()
        .env("YADOKARI_DIR", folder.path().join("state"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn errors_have_the_form_that_was_asked_for_also_those_of_the_command_line() {
    let unusable = "--build-context=nonsense";
    for more in [&[][..], &[unusable]] {
        let told = failed(&[&["--log-timestamp"], more].concat());
        let is_stamped = |line: &str| line.get(23..25) == Some("Z ");
        assert!(told.lines().all(is_stamped), "{told}");
        let told = failed(&[&["--log-format=color"], more].concat());
        assert!(told.contains("\u{1b}[1;31merror\u{1b}[0m: "), "{told}");
        let told = failed(&[&["--log-format=json"], more].concat());
        let line: serde_json::Value = serde_json::from_str(told.trim_end()).unwrap();
        assert_eq!(line["event"], "error", "{told}");
    }
}
