//! Traces: the file of `--trace`, and what a collector gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use serde_json::Value;

/// Plans a Dockerfile that needs neither network nor privilege.
fn plan(folder: &Path) -> Command {
    std::fs::write(
        folder.join("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_yadokari"));
    command.env_clear().arg("plan").arg(folder);
    command.arg("--state-dir").arg(folder.join("state"));
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_trace_file_holds_the_work_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace.json");
    let done = plan(folder.path())
        .arg("--trace")
        .arg(&file)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let whole = events
        .iter()
        .find(|event| event["name"] == "yadokari")
        .unwrap();
    for event in &events {
        assert_eq!(event["ph"], "X");
        assert!(event["ts"].as_u64() >= whole["ts"].as_u64(), "{event}");
    }
}

#[test]
fn a_trace_file_that_cannot_be_made_is_an_error_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let done = plan(folder.path())
        .arg("--trace=/nowhere/at/all")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done).contains("/nowhere/at/all"), "{}", text(&done));
    assert!(done.stdout.is_empty());
}

#[test]
fn a_collector_gets_the_spans_with_the_headers_that_were_asked_for() {
    let (address, request) = collector();
    let folder = tempfile::tempdir().unwrap();
    let done = plan(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=crabs")
        .env(
            "TRACEPARENT",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let (head, body) = request.join().unwrap();
    assert_eq!(head[0], "POST /v1/traces HTTP/1.1");
    assert!(
        head.iter().any(|line| line == "x-tenant: crabs"),
        "{head:?}"
    );
    let holds = |bytes: &[u8]| body.windows(bytes.len()).any(|window| window == bytes);
    assert!(holds(b"yadokari"));
    // The trace it is a part of, as the 16 bytes that the message carries.
    assert!(holds(
        b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
    ));
}

#[test]
fn kanikos_variable_names_a_collector_too() {
    let (address, request) = collector();
    let folder = tempfile::tempdir().unwrap();
    let done = plan(folder.path())
        .env("KANIKO_TELEMETRY_ENDPOINT", address)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let (head, _) = request.join().unwrap();
    assert_eq!(head[0], "POST /v1/traces HTTP/1.1");
}

#[test]
fn a_collector_that_is_not_there_is_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let done = plan(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{free}"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done));
    assert!(text(&done).contains("collector"), "{}", text(&done));
}

#[test]
fn a_protocol_that_is_not_spoken_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let done = plan(folder.path())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done).contains("http/protobuf"), "{}", text(&done));
}

/// The head of a request as lines, and its body.
type Received = (Vec<String>, Vec<u8>);

/// Takes one request.
fn collector() -> (String, JoinHandle<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let lines = reader.by_ref().lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let length = head
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).unwrap();
        (head, body)
    });
    (address, taken)
}
