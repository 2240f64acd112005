//! What other processes of the same user see of a build.

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::web::Web;

#[test]
fn variables_are_used_and_no_longer_shown() {
    let (sender, used) = channel();
    let sender = Mutex::new(sender);
    let web = Web::start(move |_, request| {
        let is_login = |header: &String| header.starts_with("authorization: Basic ");
        if !request.headers.iter().any(is_login) {
            return (
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"".to_owned(),
                Vec::new(),
            );
        }
        sender.lock().unwrap().send(()).ok();
        loop {
            thread::park();
        }
    });
    let place = tempfile::tempdir().unwrap();
    std::fs::write(
        place.path().join("Dockerfile"),
        format!("FROM {}/base\n", web.address),
    )
    .unwrap();
    // base64 of "user:hunter2"
    let login = format!(
        r#"{{"auths":{{"{}":{{"auth":"dXNlcjpodW50ZXIy"}}}}}}"#,
        web.address
    );
    let mut build = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", ".", "--no-push"])
        .current_dir(place.path())
        .env_clear()
        .env("DOCKER_AUTH_CONFIG", login)
        .env("YADOKARI_DIR", place.path().join("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reached = used.recv_timeout(Duration::from_secs(60));
    let shown = std::fs::read(format!("/proc/{}/environ", build.id()));
    build.kill().unwrap();
    build.wait().unwrap();
    reached.unwrap_or_else(|_| panic!("no login came: {:?}", web.requests()));
    let shown = String::from_utf8_lossy(&shown.unwrap())
        .trim_matches('\0')
        .to_owned();
    assert_eq!(shown, "");
}
