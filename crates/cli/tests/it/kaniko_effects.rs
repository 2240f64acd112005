//! What kaniko's flags and variables do, with a registry and a web server on loopback.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use yadokari_testkit::{needs, skip_unless};

use crate::place::{Place, read};
use crate::web::Web;

const DOCKERFILE: &str = "FROM scratch\nCOPY hello /dir/\nCOPY Dockerfile /dir/\n";

/// A place with a context.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("context")).unwrap();
    std::fs::write(place.path("context/hello"), "hello\n").unwrap();
    std::fs::write(place.path("context/Dockerfile"), DOCKERFILE).unwrap();
    place
}

/// Kaniko's command line with the context and a destination.
fn executor(place: &Place, destination: &str, more: &[&str]) -> Command {
    let context = format!("--context={}", place.path("context"));
    let destination = format!("--destination={destination}");
    place.command(&[&[context.as_str(), &destination], more].concat())
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// An answer that asks for another try at once.
fn busy() -> (String, Vec<u8>) {
    ("503 Busy\r\nRetry-After: 0".to_owned(), Vec::new())
}

/// A server of one file that is busy first, then hangs up in the middle, then gives all of it.
fn moody(body: Vec<u8>) -> Web {
    Web::start(move |number, _| match number {
        0 => busy(),
        1 => {
            let head = format!("200 OK\r\nContent-Length: {}", body.len());
            (head, body[..body.len() / 2].to_vec())
        }
        _ => ("200 OK".to_owned(), body.clone()),
    })
}

#[test]
fn names_and_digests_are_told_where_they_are_wanted() {
    skip_unless!(needs::root());
    let place = place();
    let destination = place.name("group/app:1");
    let hook = Web::start(|number, _| match number {
        0 => busy(),
        _ => ("201 Created".to_owned(), Vec::new()),
    });
    let digest_url = format!("--digest-file={}", hook.url("/digest?token=hunter2"));
    let (names, tags) = (place.path("names"), place.path("new/tags"));
    let output = executor(
        &place,
        &destination,
        &[
            &digest_url,
            &format!("--image-name-with-digest-file={names}"),
            &format!("--image-name-tag-with-digest-file={tags}"),
        ],
    )
    .env("BUILDER_OUTPUT", place.path("steps"))
    .output()
    .unwrap();
    succeeded(&output);
    let (_, manifest) = place.registry.manifest("group/app", "1").unwrap();
    let digest = yadokari_image::Digest::of(&manifest).to_string();
    let untagged = destination.trim_end_matches(":1");
    assert_eq!(read(&names), format!("{untagged}@{digest}\n"));
    assert_eq!(read(&tags), format!("{destination}@{digest}\n"));
    let line: Value = serde_json::from_str(&read(&place.path("steps/images"))).unwrap();
    assert_eq!(line["name"], destination.as_str());
    assert_eq!(line["digest"], digest.as_str());
    let sent = hook.requests();
    assert_eq!(sent.len(), 2, "tried again: {sent:?}");
    assert_eq!(sent[1].line, "PUT /digest?token=hunter2");
    assert_eq!(sent[1].body, digest.as_bytes());
}

#[test]
fn a_digest_that_cannot_be_sent_is_an_error_that_names_the_place() {
    skip_unless!(needs::root());
    let place = place();
    let hook = Web::always("403 Forbidden", "");
    let flag = format!("--digest-file={}", hook.url("/digest?token=hunter2"));
    let output = executor(&place, "r.example/app", &["--no-push", &flag]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    let place_of_it = format!("http://{}/digest answers with status 403", hook.address);
    assert!(
        told.contains(&place_of_it) && !told.contains("hunter2"),
        "{told}"
    );
}

#[test]
fn what_a_redirected_standard_output_holds_stays() {
    skip_unless!(needs::root());
    let place = place();
    let mut log = File::create(place.path("log")).unwrap();
    log.write_all(b"before\n").unwrap();
    let status = executor(
        &place,
        "r.example/app",
        &["--no-push", "--digest-file=/dev/stdout"],
    )
    .stdout(Stdio::from(log.try_clone().unwrap()))
    .stderr(Stdio::null())
    .status();
    assert!(status.unwrap().success());
    log.write_all(b"\nafter\n").unwrap();
    let text = read(&place.path("log"));
    let lines: Vec<_> = text.lines().collect();
    assert!(
        matches!(lines[..], ["before", digest, "after"] if digest.starts_with("sha256:")),
        "{text}"
    );
}

/// A registry of immutable tags: everything can be written, and no tag again.
fn immutable() -> Web {
    Web::start(|_, request| {
        let (head, body) = match request.line.split_once(' ').unwrap() {
            ("GET", "/v2/") => ("200 OK", ""),
            ("POST", _) => ("202 Accepted\r\nLocation: /v2/a/blobs/uploads/1", ""),
            ("DELETE", _) => ("204 No Content", ""),
            ("PUT", path) if path.contains("/manifests/") => (
                "400 Bad Request\r\nContent-Type: application/json",
                r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable."}]}"#,
            ),
            ("PUT", _) => ("201 Created", ""),
            _ => ("404 Not Found", ""),
        };
        (head.to_owned(), body.as_bytes().to_vec())
    })
}

#[test]
fn a_tag_that_may_not_change_is_an_error_unless_that_is_fine() {
    skip_unless!(needs::root());
    let (place, registry) = (place(), immutable());
    let destination = format!("{}/a:1", registry.address);
    let run = |more: &[&str]| {
        let mut command = executor(&place, &destination, more);
        command.env("UPSTREAM_CLIENT_TYPE", "ci-runner");
        command.output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    assert!(told(&refused).contains("immutable"), "{}", told(&refused));
    succeeded(&run(&["--push-ignore-immutable-tag-errors"]));
    for request in registry.requests() {
        let agent = request.header("user-agent").unwrap();
        assert!(agent.ends_with(" ci-runner"), "{agent}");
    }
}

#[test]
fn whether_pushing_is_allowed_is_asked_first_unless_that_is_not_wanted() {
    skip_unless!(needs::root());
    let place = place();
    let registry = Web::start(|_, request| {
        let head = match request.line.as_str() {
            "GET /v2/" => "200 OK",
            line if line.starts_with("POST") => "403 Forbidden",
            _ => "404 Not Found",
        };
        (head.to_owned(), Vec::new())
    });
    let destination = format!("{}/a:1", registry.address);
    for (flags, expected) in [
        (&[][..], "check push permission for "),
        (&["--skip-push-permission-check"], "push blob "),
    ] {
        let output = executor(&place, &destination, flags).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains(expected), "{}", told(&output));
    }
}

#[test]
fn a_dockerfile_comes_from_a_server_that_has_to_be_asked_again() {
    skip_unless!(needs::root());
    let place = place();
    let server = moody(b"FROM scratch\nLABEL far=away\nCOPY hello /\n".to_vec());
    let flag = format!("--dockerfile={}", server.url("/Dockerfile"));
    let output = executor(&place, &place.name("app:1"), &[&flag]).output();
    succeeded(&output.unwrap());
    assert_eq!(server.requests().len(), 3);
    let config = place.manifest("app", "1")["config"]["digest"].to_string();
    assert!(config.contains("sha256:"), "{config}");
}

fn packed(place: &Place) -> Vec<u8> {
    let context = place.path("context");
    let mut tar = Command::new("tar");
    let packed = tar.args(["-czf", "-", "-C", &context, "."]).output();
    packed.unwrap().stdout
}

#[test]
fn a_context_comes_from_a_server_that_has_to_be_asked_again() {
    skip_unless!(needs::root());
    let place = place();
    let server = moody(packed(&place));
    let context = format!("--context={}", server.url("/context.tar.gz"));
    let destination = format!("--destination={}", place.name("app:1"));
    let output = place.try_run(&[&context, &destination]);
    succeeded(&output);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(
        place.manifest("app", "1")["layers"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_context_that_cannot_be_fetched_is_named_without_its_secrets() {
    let place = place();
    let server = Web::always("403 Forbidden", "");
    let url = server
        .url("/context.tar.gz?token=hunter2")
        .replace("://", "://me:hunter2@");
    let output = place.try_run(&["--no-push", &format!("--context={url}")]);
    assert_eq!(output.status.code(), Some(1));
    let told = told(&output);
    let expected = format!(
        "cannot download build context http://{}/context.tar.gz",
        server.address
    );
    assert!(
        told.contains(&expected) && told.contains("status 403"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_source_of_add_is_asked_for_again() {
    skip_unless!(needs::root());
    let place = place();
    let server = moody(b"0123456789".to_vec());
    let dockerfile = format!("FROM scratch\nADD {} /\n", server.url("/file"));
    std::fs::write(place.path("context/Dockerfile"), dockerfile).unwrap();
    let output = executor(&place, &place.name("app:1"), &[]).output();
    succeeded(&output.unwrap());
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn the_plan_is_printed_instead_of_a_build_or_before_it() {
    skip_unless!(needs::root());
    let place = place();
    let dry = executor(&place, &place.name("dry:1"), &["--dryrun"]).output();
    let dry = succeeded(&dry.unwrap());
    assert!(dry.contains("COPY hello /dir/"), "{dry}");
    assert!(place.registry.manifest("dry", "1").is_none());
    let mut command = executor(&place, &place.name("wet:1"), &[]);
    let wet = command.env("KANIKO_PRINT_PLAN", "1").output().unwrap();
    assert_eq!(succeeded(&wet), dry);
    assert!(place.registry.manifest("wet", "1").is_some());
}

#[test]
fn a_single_snapshot_is_one_layer() {
    skip_unless!(needs::root());
    let place = place();
    for (name, flags, layers) in [("many", &[][..], 2), ("one", &["--single-snapshot"], 1)] {
        let destination = place.name(&format!("{name}:1"));
        let output = executor(&place, &destination, flags).output().unwrap();
        succeeded(&output);
        let manifest = place.manifest(name, "1");
        assert_eq!(
            manifest["layers"].as_array().unwrap().len(),
            layers,
            "{name}"
        );
    }
}

#[test]
fn add_reads_repositories_through_the_ssh_that_the_environment_names() {
    skip_unless!(needs::root());
    let place = place();
    let repository = place.path("repository");
    let script = format!(
        "set -e; git init -q -b main {repository}; cd {repository}; echo far > file; git add file\n\
         git -c user.name=t -c user.email=t@example.com commit -qm first"
    );
    let made = Command::new("sh").args(["-c", &script]).status();
    assert!(made.unwrap().success());
    // As ssh: the host, and a command line for the shell there. `-G` asks which ssh this is.
    let ssh = "#!/bin/sh\n[ \"$1\" = -G ] && exit 1\nfor last; do :; done\nexec sh -c \"$last\"\n";
    std::fs::write(place.path("ssh"), ssh).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("ssh"), mode).unwrap();
    let dockerfile = format!("FROM scratch\nADD ssh://git@host.example{repository}#main /far\n");
    std::fs::write(place.path("context/Dockerfile"), dockerfile).unwrap();
    let mut command = place.command(&["build", "--output=tree", "context"]);
    let output = command.env("GIT_SSH_COMMAND", place.path("ssh")).output();
    succeeded(&output.unwrap());
    assert_eq!(read(&place.path("tree/far/file")), "far\n");
}

#[test]
fn an_archive_on_standard_input_needs_no_memory_of_its_size() {
    const SIZE: u64 = 1 << 30;
    let place = place();
    // In KiB: a third of the archive.
    let limited = "ulimit -d 340000 && exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_yadokari")])
        .args(["--dryrun", "--no-push", "--context=tar://stdin"])
        .env_clear()
        .env("YADOKARI_DIR", place.path("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut archive = tar::Builder::new(child.stdin.take().unwrap());
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(size);
        archive.append_data(&mut header, name, content)
    };
    let sent = add("big", SIZE, &mut std::io::repeat(0).take(SIZE))
        .and_then(|()| {
            add(
                "Dockerfile",
                28,
                &mut b"FROM scratch\nCOPY hello /d/\n".as_slice(),
            )
        })
        .and_then(|()| add("hello", 2, &mut b"hi".as_slice()));
    let sent = sent.and_then(|()| archive.finish());
    drop(archive);
    let output = child.wait_with_output().unwrap();
    let plan = succeeded(&output);
    assert!(sent.is_ok() && plan.contains("COPY hello /d/"), "{plan}");
}
