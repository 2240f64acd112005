//! Signals while a build waits for a registry that has stopped to answer.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::web::{Request, Web};

/// How long anything may take here. What is tested is that a build ends at all while its registry stays silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry that takes everything until a request comes whose line has this in it, and never answers that one.
fn silent_at(wanted: &'static str) -> (Web, Receiver<()>) {
    let (sender, reached) = channel();
    let sender = Mutex::new(sender);
    let web = Web::start(move |_, request| {
        if request.line.contains(wanted) {
            sender.lock().unwrap().send(()).ok();
            loop {
                thread::park();
            }
        }
        (answer(request), Vec::new())
    });
    (web, reached)
}

fn answer(request: &Request) -> String {
    let line = &request.line;
    let begins = |start: &str| line.starts_with(start);
    match () {
        () if line == "GET /v2/" => "200 OK".to_owned(),
        () if begins("POST ") || begins("PATCH ") => {
            "202 Accepted\r\nLocation: /v2/app/blobs/uploads/1".to_owned()
        }
        () if begins("PUT ") => "201 Created".to_owned(),
        () if begins("DELETE ") => "204 No Content".to_owned(),
        () => "404 Not Found".to_owned(),
    }
}

fn build(place: &Path, registry: &str, base: &str) -> Child {
    let dockerfile = format!("FROM {base}\nCOPY file /\n").replace("REGISTRY", registry);
    std::fs::write(place.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(place.join("file"), "text").unwrap();
    Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", ".", "--push", "--tag"])
        .arg(format!("{registry}/app:1"))
        .current_dir(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("YADOKARI_DIR", place.join("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn ended(build: &mut Child) -> ExitStatus {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = build.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    build.kill().unwrap();
    panic!("the build did not end");
}

#[test]
fn a_signal_ends_a_build_whose_registry_is_silent() {
    let phases = [
        (
            "the manifest of a base",
            "/v2/base/manifests/",
            "REGISTRY/base",
        ),
        (
            "whether it may push",
            "POST /v2/app/blobs/uploads/",
            "scratch",
        ),
        ("a layer", "PUT /v2/app/blobs/uploads/", "scratch"),
        ("the image", "PUT /v2/app/manifests/", "scratch"),
    ];
    for (phase, wanted, base) in phases {
        for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
            let (web, reached) = silent_at(wanted);
            let place = tempfile::tempdir().unwrap();
            let mut build = build(place.path(), &web.address, base);
            reached
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| panic!("{phase}: {:?}", web.requests()));
            let sent = Command::new("kill")
                .args([format!("-{signal}"), build.id().to_string()])
                .status();
            assert!(sent.unwrap().success());
            let status = ended(&mut build);
            assert_eq!(status.code(), Some(code), "{phase}, SIG{signal}");
            let tags = web.requests().into_iter().filter(|request| {
                request.line.starts_with("PUT /v2/app/manifests/") && !request.line.contains(wanted)
            });
            assert_eq!(tags.count(), 0, "{phase}: a tag was written");
        }
    }
}
