//! A server of packages on a loopback port that counts what it sends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Files over HTTP, all last changed at [`CHANGED`], and a record of what was sent.
#[derive(Debug)]
pub(crate) struct Packages {
    port: u16,
    /// The files that were sent.
    sent: Arc<Mutex<Vec<String>>>,
}

/// When all files were last changed.
const CHANGED: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

type Files = BTreeMap<String, Vec<u8>>;

impl Packages {
    /// Serves these files for as long as the test process lives.
    pub(crate) fn serve(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let (files, record) = (Arc::new(files.into_iter().collect()), Arc::clone(&sent));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (files, record) = (Arc::clone(&files), Arc::clone(&record));
                std::thread::spawn(move || answer(client, &files, &record));
            }
        });
        Self { port, sent }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often files were sent whose name ends so.
    pub(crate) fn downloads(&self, ending: &str) -> usize {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|path| path.ends_with(ending)).count()
    }
}

/// Answers the requests of one connection until it ends.
fn answer(client: TcpStream, files: &Files, record: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let mut client = client;
    while let Some(Ok(request)) = lines.next() {
        let head = lines.by_ref().map_while(Result::ok);
        let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
        let is_known = head.iter().any(|line| {
            let header = line.split_once(": ");
            header.is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("if-modified-since") && value == CHANGED
            })
        });
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path
            .trim_start_matches('/')
            .trim_start_matches("./")
            .to_owned();
        let (status, body) = match files.get(&path) {
            Some(_) if is_known => ("304 Not Modified", &b""[..]),
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", &b""[..]),
        };
        if status.starts_with("200") {
            record.lock().unwrap().push(path);
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nLast-Modified: {CHANGED}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if client
            .write_all(head.as_bytes())
            .and_then(|()| client.write_all(body))
            .is_err()
        {
            return;
        }
    }
}
