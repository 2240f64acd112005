//! What ADD fetches: files that a server knows again, their times, and commits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use yadokari_image::Digest;
use yadokari_testkit::{GitServer, Manners, needs, process, skip_unless};

/// A web server with one file.
struct Server {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    text: String,
    tag: Tag,
    /// The seconds of [`CHANGED`].
    changed: u8,
    /// What is sent where it is not asked whether the file changed, if that is something else.
    lie: Option<String>,
    /// The statuses that requests were answered with.
    seen: Vec<u16>,
}

/// What the server knows a version of its file by.
#[derive(Default, Clone, Copy)]
enum Tag {
    /// The digest of the file.
    #[default]
    Digest,
    /// A weak tag that every version has.
    Weak,
    /// The date alone: what is not newer did not change.
    Date,
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

    /// The same, known by something else.
    fn known_by(self, tag: Tag) -> Self {
        self.state.lock().unwrap().tag = tag;
        self
    }

    fn set(&self, text: &str) {
        text.clone_into(&mut self.state.lock().unwrap().text);
    }

    /// Another file, last changed at that second.
    fn set_of(&self, text: &str, second: u8) {
        self.set(text);
        self.state.lock().unwrap().changed = second;
    }

    fn lie(&self, text: &str) {
        self.state.lock().unwrap().lie = Some(text.to_owned());
    }

    /// The statuses of the requests since the last call.
    fn statuses(&self) -> Vec<u16> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

impl State {
    fn changed(&self) -> String {
        CHANGED.replace("SS", &format!("{:02}", self.changed))
    }

    fn tag(&self) -> Option<String> {
        match self.tag {
            Tag::Digest => Some(format!("\"{}\"", Digest::of(self.text.as_bytes()).hex())),
            Tag::Weak => Some("W/\"1\"".to_owned()),
            Tag::Date => None,
        }
    }

    /// Whether the file is what the request has already, as far as this server can tell.
    fn is_known(&self, head: &[String]) -> bool {
        let header = |wanted: &str| {
            head.iter().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case(wanted).then(|| value.to_owned())
            })
        };
        match (header("if-none-match"), header("if-modified-since")) {
            (Some(tag), _) => self.tag() == Some(tag),
            // These dates differ in their seconds alone.
            (None, Some(date)) => self.changed() <= date,
            (None, None) => false,
        }
    }
}

const CHANGED: &str = "Wed, 21 Oct 2015 07:28:SS GMT";

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map(|line| line.unwrap_or_default())
        .take_while(|line| !line.is_empty())
        .collect();
    let mut state = state.lock().unwrap();
    let (status, reply) = match state.is_known(&head) {
        true => (
            304,
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        false => {
            let text = state.lie.as_ref().unwrap_or(&state.text);
            let tag = state.tag().map(|tag| format!("ETag: {tag}\r\n"));
            let head = format!(
                "HTTP/1.1 200 OK\r\n{}Last-Modified: {}\r\nConnection: close\r\nContent-Length: {}",
                tag.unwrap_or_default(),
                state.changed(),
                text.len()
            );
            (200, format!("{head}\r\n\r\n{text}"))
        }
    };
    state.seen.push(status);
    stream.write_all(reply.as_bytes()).unwrap();
}

/// A directory with a context, and a cache that outlives each state directory, as a job's does.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A cache in this directory.
    fn cache(&self, name: &str) -> String {
        format!("oci:{}", self.0.path().join(name).display())
    }

    fn try_build(&self, dockerfile: &str, more: &[&str]) -> Output {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(self.0.path().join("Dockerfile"), dockerfile).unwrap();
        let image = self.0.path().join("image");
        let _nothing_yet = std::fs::remove_dir_all(&image);
        Command::new(env!("CARGO_BIN_EXE_yadokari"))
            .args([
                "build",
                "--cache",
                "--cache-copy-layers",
                "--cache-repo",
                &self.cache("cache"),
                "--oci-layout",
            ])
            .arg(&image)
            .args(more)
            .arg(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", state.path())
            .output()
            .unwrap()
    }

    /// Builds, and gives the layers of the image.
    fn build(&self, dockerfile: &str) -> Vec<String> {
        self.build_with(dockerfile, &[])
    }

    fn build_with(&self, dockerfile: &str, more: &[&str]) -> Vec<String> {
        let output = self.try_build(dockerfile, more);
        assert!(output.status.success(), "{output:?}");
        self.layers()
    }

    /// The layers of the image that was built last.
    fn layers(&self) -> Vec<String> {
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
fn a_file_that_the_server_knows_by_less_than_its_bytes_is_sent_again() {
    skip_unless!(needs::root());
    for (tag, second) in [
        (Tag::Date, 9),
        (Tag::Date, 30),
        (Tag::Weak, 30),
        (Tag::Weak, 40),
    ] {
        let (server, place) = (Server::start("").known_by(tag), Place::new());
        server.set_of("new", 30);
        let dockerfile = format!("FROM scratch\nADD http://{}/file /f\n", server.address);
        let new = place.build(&dockerfile);
        server.set_of("rolled back", second);
        assert_ne!(place.build(&dockerfile), new, "{second}");
        assert_eq!(server.statuses(), [200, 200], "{second}");
    }
}

#[test]
fn a_server_that_sends_something_else_than_it_promised_is_not_believed() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = |to: &str| format!("FROM scratch\nADD http://{}/file {to}\n", server.address);
    place.build(&dockerfile("/a"));
    server.lie("three");
    assert_eq!(server.statuses(), [200]);
    let output = place.try_build(&dockerfile("/b"), &[]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
    let told = format!(
        "/file is said to be unchanged, which is {}, and comes as {}; building with what is sent",
        Digest::of(b"one"),
        Digest::of(b"three")
    );
    assert!(printed.contains(&told), "{printed}");
    assert_eq!(server.statuses(), [304, 200, 200]);
    let honest = Server::start("three");
    let other = format!("FROM scratch\nADD http://{}/file /b\n", honest.address);
    let layers = place.build(&dockerfile("/b"));
    assert_eq!(layers, place.build_with(&other, &["--no-cache"]));
    assert_eq!(server.statuses(), [304], "what was sent is known now");
}

#[test]
fn without_the_cache_a_server_is_not_asked_what_it_knows() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = format!(
        "FROM scratch AS a\nADD http://{}/file /f\nFROM scratch\nCOPY --from=a /f /\n",
        server.address
    );
    place.build(&dockerfile);
    for more in [&["--no-cache"][..], &["--no-cache-filter", "a"]] {
        server.statuses();
        server.lie("two");
        let output = place.try_build(&dockerfile, more);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(server.statuses(), [200], "{more:?}");
    }
}

#[test]
fn what_another_cache_knows_of_a_file_is_asked_with_too() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("one"), Place::new());
    let dockerfile = format!("FROM scratch\nADD http://{}/file /f\n", server.address);
    let first = place.build_with(&dockerfile, &["--cache-scope", "main"]);
    let feature = ["--cache-scope", "feature,main"];
    assert_eq!(place.build_with(&dockerfile, &feature), first);
    let (new, old) = (place.cache("new"), place.cache("cache"));
    let elsewhere = [
        "--cache-scope",
        "main",
        "--cache-repo",
        &new,
        "--cache-from",
        &old,
    ];
    assert_eq!(place.build_with(&dockerfile, &elsewhere), first);
    assert_eq!(server.statuses(), [200, 304, 304]);
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

#[test]
fn what_is_secret_in_a_url_is_in_no_log_and_no_cache() {
    skip_unless!(needs::root());
    let (server, place) = (Server::start("text"), Place::new());
    let host = &server.address;
    let dockerfile = format!(
        "FROM scratch\nARG URL\nADD http://me:hunter2@{host}/f?X-Amz-Signature=hunter2 /f\nADD $URL /g\n"
    );
    let url = format!("URL=http://{host}/g?sig=hunter2");
    let digest = Digest::of(&url.as_bytes()["URL=".len()..]);
    for (round, statuses) in [("cold", [200, 200]), ("cached", [200, 200])] {
        let output = place.try_build(&dockerfile, &["--build-arg", &url]);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        let title = format!("ADD http://xxxxx:xxxxx@{host}/f?X-Amz-Signature=xxxxx /f");
        assert!(printed.contains(&title), "{printed}");
        assert_eq!(printed.contains("CACHED"), round == "cached", "{printed}");
        assert_eq!(server.statuses(), statuses, "{round}");
    }
    let cache = place.0.path().join("cache");
    for file in ["index.json"]
        .iter()
        .map(|name| cache.join(name))
        .chain(blobs(&cache))
    {
        let text = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&text);
        for secret in ["hunter2", digest.hex().as_str(), "url-"] {
            assert!(!text.contains(secret), "{secret} in {}", file.display());
        }
    }
}

/// The blobs of a layout.
fn blobs(layout: &std::path::Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(layout.join("blobs/sha256")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// A bare repository of one file below a directory.
fn repository(directory: &std::path::Path) {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e"]);
        process::run(git.args(arguments).current_dir(directory)).unwrap();
    };
    git(&["init", "-q", "."]);
    std::fs::write(directory.join("file"), "text").unwrap();
    git(&["add", "file"]);
    git(&["commit", "-qm", "first"]);
    git(&["clone", "-q", "--bare", ".", "r.git"]);
}

#[test]
fn a_commit_is_known_whatever_token_fetches_it() {
    skip_unless!(needs::root());
    let (place, served) = (Place::new(), tempfile::tempdir().unwrap());
    repository(served.path());
    let server = GitServer::start(served.path(), Manners::default()).unwrap();
    let url = server.url("/r.git").replace("://", "://oauth2:$T@");
    let dockerfile = format!("FROM scratch\nARG T\nADD {url} /src\n");
    let first = place.build_with(&dockerfile, &["--build-arg", "T=one"]);
    let output = place.try_build(&dockerfile, &["--build-arg", "T=two"]);
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("CACHED"), "{printed}");
    assert_eq!(place.layers(), first);
}
