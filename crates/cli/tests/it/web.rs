//! A web server that answers as a test says, and remembers what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Serves until the test's process ends.
pub(crate) struct Web {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `GET /path?query`.
    pub(crate) line: String,
    /// `name: value`, with names in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Web {
    /// Starts a server that answers request number `n`, from 0, with a head and a body; a head without a
    /// length is followed by one.
    pub(crate) fn start<F>(answer: F) -> Self
    where
        F: Fn(usize, &Request) -> (String, Vec<u8>) + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &log, answer.as_ref()));
            }
        });
        Self { address, seen }
    }

    /// Starts a server that gives every request the same answer.
    pub(crate) fn always(head: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        let (head, body) = (head.into(), body.into());
        Self::start(move |_, _| (head.clone(), body.clone()))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Request {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.headers
            .iter()
            .find_map(|line| line.strip_prefix(&start))
    }
}

fn serve<F>(stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &F)
where
    F: Fn(usize, &Request) -> (String, Vec<u8>),
{
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Some(request) = read(&mut reader) else {
        return;
    };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let (head, body) = answer(number, &request);
    let length = match head.to_ascii_lowercase().contains("content-length") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {head}\r\n{length}Connection: close\r\n\r\n");
    let mut stream = stream;
    stream.write_all(head.as_bytes()).ok();
    if !request.line.starts_with("HEAD ") {
        stream.write_all(&body).ok();
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.push(format!("{}: {value}", name.to_ascii_lowercase()));
    }
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length").map(str::parse);
    request.body = vec![0; length.map_or(0, Result::unwrap)];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}
