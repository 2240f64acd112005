//! Builds without a RUN, and all the forms in which their results come.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;
use yadokari_testkit::{EmbeddedRegistry, needs, skip_unless, validate};

/// A directory with a context, a state directory and room for results.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path("context")).unwrap();
        std::fs::write(place.path("context/hello"), "hello\n").unwrap();
        std::fs::write(place.path("context/Dockerfile"), DOCKERFILE).unwrap();
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yadokari"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("YADOKARI_DIR", self.path("state"));
        command
    }

    fn build(&self, arguments: &[&str]) -> String {
        let arguments = [&["build"], arguments, &["context"]].concat();
        succeeded(self.command(&arguments).output().unwrap())
    }

    fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }
}

const DOCKERFILE: &str = "FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY hello /dir/\n";

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

#[test]
fn facts_about_the_result_have_the_names_that_buildx_gives_them() {
    skip_unless!(needs::root());
    let place = Place::new();
    let printed = place.build(&[
        "-q",
        "--iidfile=id",
        "--metadata-file=facts",
        "--digest-file=new/digest",
        "-t",
        "r.example/app:1",
        "--output=type=oci,tar=false,dest=layout",
    ]);
    let (facts, index) = (place.json("facts"), place.json("layout/index.json"));
    let image = validate::layout(&std::path::PathBuf::from(place.path("layout"))).unwrap();
    assert_eq!(facts["containerimage.digest"], image.digest());
    assert_eq!(facts["containerimage.descriptor"]["digest"], image.digest());
    assert_eq!(
        facts["containerimage.descriptor"]["mediaType"],
        index["manifests"][0]["mediaType"]
    );
    assert_eq!(facts["image.name"], "r.example/app:1");
    let id = facts["containerimage.config.digest"].as_str().unwrap();
    assert_eq!((printed.trim_end(), place.read("id").as_str()), (id, id));
    assert_eq!(place.read("new/digest"), image.digest());
    let shown = place.build(&["--digest-file=/dev/stdout", "--no-push"]);
    assert!(shown.starts_with("sha256:") && shown.len() == 71, "{shown}");
}

#[test]
fn files_of_several_platforms_get_a_directory_each() {
    skip_unless!(needs::root());
    let place = Place::new();
    place.build(&[
        "--platform=linux/amd64,linux/arm64",
        "--metadata-file=facts",
        "--output=tree",
        "--output=type=tar,dest=tree.tar",
        "--output=type=local,dest=merged,platform-split=false",
        "--output=type=oci,tar=false,dest=layout,annotation-index.made=here",
    ]);
    for directory in ["tree/linux_amd64", "tree/linux_arm64", "merged"] {
        assert_eq!(place.read(&format!("{directory}/dir/hello")), "hello\n");
    }
    let files = members(&std::fs::read(place.path("tree.tar")).unwrap());
    for directory in ["linux_amd64", "linux_arm64"] {
        assert_eq!(files[&format!("{directory}/dir/hello")], b"hello\n");
    }
    let facts = place.json("facts");
    assert!(
        facts.get("containerimage.config.digest").is_none(),
        "{facts}"
    );
    let digest = facts["containerimage.digest"].as_str().unwrap();
    let index = place.json(&format!("layout/blobs/{}", digest.replace(':', "/")));
    assert_eq!(index["annotations"]["made"], "here");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let left = std::fs::read_dir(place.0.path()).unwrap();
    let temporary = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("tmp-")
    });
    assert_eq!(temporary.count(), 0);
}

#[test]
fn a_push_by_digest_leaves_no_tag() {
    skip_unless!(needs::root());
    let (place, registry) = (Place::new(), EmbeddedRegistry::start().unwrap());
    let output = format!(
        "type=image,name={}/app,push-by-digest=true,push=true",
        registry.address()
    );
    place.build(&["--output", &output, "--metadata-file=facts"]);
    let digest = place.json("facts")["containerimage.digest"]
        .as_str()
        .unwrap()
        .to_owned();
    validate::pushed(&registry.endpoint(), "app", &digest).unwrap();
    assert!(registry.manifest("app", "latest").is_none());
}

#[test]
fn a_dockerfile_alone_is_a_context() {
    skip_unless!(needs::root());
    let place = Place::new();
    let mut command = place.command(&["build", "--output=tree", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "FROM scratch\nCOPY <<EOF /greeting\ngood day\nEOF\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    succeeded(child.wait_with_output().unwrap());
    assert_eq!(place.read("tree/greeting"), "good day\n");
}

#[test]
fn a_context_comes_from_the_store_that_the_variables_name() {
    skip_unless!(needs::root());
    let place = Place::new();
    let packed = Command::new("tar")
        .args(["-czf", "-", "-C", &place.path("context"), "."])
        .output()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 8192];
        let count = stream.read(&mut request).unwrap();
        sender
            .send(String::from_utf8_lossy(&request[..count]).into_owned())
            .unwrap();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"1\"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n\r\n",
            packed.stdout.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&packed.stdout).unwrap();
    });
    let arguments = [
        "build",
        "--context=s3://bucket/context.tar.gz",
        "--output=tree",
    ];
    let mut command = place.command(&arguments);
    command
        .env("S3_ENDPOINT", endpoint)
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2");
    let output = command.output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    succeeded(output);
    assert_eq!(place.read("tree/dir/hello"), "hello\n");
    let asked = asked.recv().unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("get /bucket/context.tar.gz"), "{asked}");
    assert!(asked.contains("credential=id/"), "{asked}");
}

#[test]
fn an_image_is_streamed_into_the_engine_and_a_complaint_is_told() {
    skip_unless!(needs::root());
    let place = Place::new();
    let socket = place.path("engine.sock");
    let absent = place
        .command(&["build", "--load", "context"])
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert_eq!(absent.status.code(), Some(1));
    assert!(
        text.contains("no container engine answers at unix://"),
        "{text}"
    );
    for (answer, succeeds) in [
        ("{\"stream\":\"Loaded image: app\"}", true),
        (
            "{\"errorDetail\":{\"message\":\"disk full\"},\"error\":\"disk full\"}",
            false,
        ),
    ] {
        let loaded = engine(&socket, answer);
        let output = place
            .command(&["build", "--load", "-t", "app:1", "context"])
            .env("DOCKER_HOST", format!("unix://{socket}"))
            .output()
            .unwrap();
        assert_eq!(output.status.success(), succeeds, "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.contains("disk full"), !succeeds, "{text}");
        let archive = members(&loaded.recv().unwrap());
        let list: Value = serde_json::from_slice(&archive["manifest.json"]).unwrap();
        assert_eq!(list[0]["RepoTags"][0], "app:1");
        std::fs::remove_file(&socket).unwrap();
    }
}

/// An engine that answers one ping and one image, and gives the image's archive.
fn engine(socket: &str, answer: &'static str) -> mpsc::Receiver<Vec<u8>> {
    let listener = UnixListener::bind(socket).unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = std::io::BufReader::new(stream.unwrap());
            let head = head(&mut stream);
            if head.starts_with("GET /_ping") {
                respond(stream.get_mut(), "OK");
                continue;
            }
            assert!(head.starts_with("POST /images/load"), "{head}");
            let body = chunks(&mut stream);
            respond(stream.get_mut(), answer);
            sender.send(body).unwrap();
            return;
        }
    });
    receiver
}

fn head(stream: &mut impl std::io::BufRead) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut text).unwrap(), 0, "{text}");
    }
    text
}

/// A body in chunks, up to the last one.
fn chunks(stream: &mut impl std::io::BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn respond(stream: &mut impl std::io::Write, body: &str) {
    let text = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).unwrap();
}

#[test]
fn the_root_filesystem_is_materialized_beside_the_state_and_made_anew() {
    skip_unless!(needs::root());
    let place = Place::new();
    std::fs::create_dir_all(place.path("state/materialized/stale")).unwrap();
    let context = place.path("context");
    let arguments = ["--context", &context, "--no-push", "--materialize"];
    succeeded(place.command(&arguments).output().unwrap());
    assert_eq!(place.read("state/materialized/dir/hello"), "hello\n");
    assert!(!std::path::Path::new(&place.path("state/materialized/stale")).exists());
}
