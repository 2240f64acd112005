//! A server of packages on a loopback port that counts what is asked of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Files over HTTP, and a record of who asked for what.
#[derive(Debug)]
pub(crate) struct Packages {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

type Files = BTreeMap<String, Vec<u8>>;

impl Packages {
    /// Serves these files for as long as the test process lives.
    pub(crate) fn serve(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (files, record) = (Arc::new(files.into_iter().collect()), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (files, record) = (Arc::clone(&files), Arc::clone(&record));
                std::thread::spawn(move || answer(client, &files, &record));
            }
        });
        Self { port, asked }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How often files were asked for whose name ends so.
    pub(crate) fn downloads(&self, ending: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.ends_with(ending)).count()
    }
}

/// Answers the requests of one connection until it ends.
fn answer(client: TcpStream, files: &Files, record: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let mut client = client;
    while let Some(Ok(request)) = lines.next() {
        // The headers change nothing here.
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        let path = path
            .trim_start_matches('/')
            .trim_start_matches("./")
            .to_owned();
        let (status, body) = match files.get(&path) {
            Some(body) => ("200 OK", body.as_slice()),
            None => ("404 Not Found", &b""[..]),
        };
        record.lock().unwrap().push(path);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
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
