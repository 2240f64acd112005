//! Files of a web server: those it knows again, and their times.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use yadokari_image::Digest;
use yadokari_testkit::{needs, skip_unless};

/// A web server with one file, whose digest is its entity tag, and which was last changed at [`CHANGED`].
struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    text: String,
    /// What is sent where it is not asked whether the file changed, if that is something else.
    lie: Option<String>,
    /// The conditions of all requests so far, and the status each was answered with.
    seen: Vec<(Option<String>, u16)>,
}

impl Server {
    fn start(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            text: text.to_owned(),
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state }
    }

    fn set(&self, text: &str) {
        text.clone_into(&mut self.state.lock().unwrap().text);
    }

    fn lie(&self, text: &str) {
        self.state.lock().unwrap().lie = Some(text.to_owned());
    }

    /// The statuses of the requests since the last call.
    fn statuses(&self) -> Vec<u16> {
        let seen = std::mem::take(&mut self.state.lock().unwrap().seen);
        seen.into_iter().map(|(_, status)| status).collect()
    }
}

const CHANGED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map(|line| line.unwrap_or_default())
        .take_while(|line| !line.is_empty())
        .collect();
    let condition = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("if-none-match")
            .then(|| value.to_owned())
    });
    let mut state = state.lock().unwrap();
    let tag = format!("\"{}\"", Digest::of(state.text.as_bytes()).hex());
    let is_known = condition.as_deref() == Some(&tag);
    let text = state.lie.clone().unwrap_or_else(|| state.text.clone());
    let (status, reply) = match is_known {
        true => (
            304,
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        false => (
            200,
            format!(
                "HTTP/1.1 200 OK\r\nETag: {tag}\r\nLast-Modified: {CHANGED}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ),
        ),
    };
    state.seen.push((condition, status));
    stream.write_all(reply.as_bytes()).unwrap();
}

/// A directory with a context, and a cache that outlives each state directory, as a job's does.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn try_build(&self, dockerfile: &str) -> Output {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(self.0.path().join("Dockerfile"), dockerfile).unwrap();
        let cache = format!("oci:{}", self.0.path().join("cache").display());
        let image = self.0.path().join("image");
        let _nothing_yet = std::fs::remove_dir_all(&image);
        Command::new(env!("CARGO_BIN_EXE_yadokari"))
            .args([
                "build",
                "--cache",
                "--cache-copy-layers",
                "--cache-repo",
                &cache,
                "--oci-layout",
            ])
            .arg(&image)
            .arg(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", state.path())
            .output()
            .unwrap()
    }

    /// Builds, and gives the layers of the image.
    fn build(&self, dockerfile: &str) -> Vec<String> {
        let output = self.try_build(dockerfile);
        assert!(output.status.success(), "{output:?}");
        let manifest = self.manifest();
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].to_string()).collect()
    }

    /// Builds with an epoch that has a name, and gives the time of the image.
    fn created(&self, epoch: &str, context: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_yadokari"))
            .args([
                "build",
                "--build-arg",
                &format!("SOURCE_DATE_EPOCH={epoch}"),
                "--oci-layout",
            ])
            .arg(self.0.path().join("image"))
            .arg(context)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", self.0.path().join("state"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let config = self.blob(&self.manifest()["config"]["digest"]);
        config["created"].as_str().unwrap().to_owned()
    }

    fn manifest(&self) -> Value {
        let index = self.read("index.json");
        self.blob(&index["manifests"][0]["digest"])
    }

    fn blob(&self, digest: &Value) -> Value {
        self.read(&format!(
            "blobs/{}",
            digest.as_str().unwrap().replace(':', "/")
        ))
    }

    fn read(&self, path: &str) -> Value {
        let path = self.0.path().join("image").join(path);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }
}

#[test]
fn a_file_that_did_not_change_is_not_sent_again() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = format!("FROM scratch\nADD http://{}/file /f\n", server.address);
    let first = place.build(&dockerfile);
    assert_eq!(server.statuses(), [200]);
    assert_eq!(place.build(&dockerfile), first);
    assert_eq!(server.statuses(), [304], "the layer is in the cache");
    server.set("two");
    let changed = place.build(&dockerfile);
    assert_ne!(changed, first);
    assert_eq!(server.statuses(), [200]);
    assert_eq!(place.build(&dockerfile), changed);
    assert_eq!(server.statuses(), [304]);
}

#[test]
fn a_file_that_did_not_change_is_fetched_for_a_step_that_is_new() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = |to: &str| format!("FROM scratch\nADD http://{}/file {to}\n", server.address);
    place.build(&dockerfile("/a"));
    assert_eq!(server.statuses(), [200]);
    place.build(&dockerfile("/b"));
    assert_eq!(server.statuses(), [304, 200]);
}

#[test]
fn a_file_with_a_checksum_is_asked_for_only_when_a_step_needs_it() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let checksum = Digest::of(b"one");
    let dockerfile = format!(
        "FROM scratch\nADD --checksum={checksum} http://{}/file /f\n",
        server.address
    );
    let first = place.build(&dockerfile);
    assert_eq!(server.statuses(), [200]);
    assert_eq!(place.build(&dockerfile), first);
    assert_eq!(server.statuses(), [0; 0]);
}

#[test]
fn a_server_that_sends_something_else_than_it_promised_fails_the_build() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = |to: &str| format!("FROM scratch\nADD http://{}/file {to}\n", server.address);
    place.build(&dockerfile("/a"));
    server.lie("three");
    let output = place.try_build(&dockerfile("/b"));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{printed}");
    assert!(
        printed.contains("digest mismatch") && printed.contains("Dockerfile:2"),
        "{printed}"
    );
}

#[test]
fn an_epoch_can_be_the_time_of_a_download() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = format!(
        "FROM scratch AS source\nADD http://{}/file /\nFROM scratch\nCOPY --from=source / /\n",
        server.address
    );
    std::fs::write(place.0.path().join("Dockerfile"), dockerfile).unwrap();
    assert_eq!(place.created("source", "."), "2015-10-21T07:28:00Z");

    let mut archive = tar::Builder::new(Vec::new());
    let text = b"FROM scratch\nLABEL a=b\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "Dockerfile", &text[..])
        .unwrap();
    let archive = String::from_utf8(archive.into_inner().unwrap()).unwrap();
    let (server, place) = (Server::start(&archive), Place::new());
    let context = format!("http://{}/context.tar", server.address);
    assert_eq!(place.created("context", &context), "2015-10-21T07:28:00Z");
}
