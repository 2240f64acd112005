//! A server of git repositories: git's own CGI program behind a few lines of HTTP.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a server behaves.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// What the `Authorization` header has to be.
    pub authorization: Option<String>,
    /// Speaks the protocol as old servers do, which give out no commit that no ref ends in.
    pub old: bool,
    /// The numbers of the requests, from 0, that it has no time for.
    pub busy: &'static [usize],
    /// Sends everybody to this address.
    pub moved_to: Option<String>,
}

/// Serves the bare repositories of a directory until the test's process ends.
#[derive(Debug, Clone)]
pub struct GitServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl GitServer {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub fn start(root: &Path, manners: Manners) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self {
            address: listener.local_addr()?,
            requests: Arc::default(),
        };
        let (root, requests) = (root.to_path_buf(), Arc::clone(&server.requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, manners) = (root.clone(), manners.clone());
                let requests = Arc::clone(&requests);
                thread::spawn(move || {
                    let request = Request::read(&stream);
                    let number = {
                        let mut requests = requests.lock().expect(UNPOISONED);
                        requests.push(request.head.join("\n"));
                        requests.len() - 1
                    };
                    if manners.busy.contains(&number) {
                        let busy = empty("503 Service Unavailable", "");
                        (&stream).write_all(&busy).ok();
                    } else {
                        answer(stream, &request, &root, &manners);
                    }
                });
            }
        });
        Ok(server)
    }

    /// The address of something it serves.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect(UNPOISONED).clone()
    }
}

struct Request {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head: Vec<String> = Vec::new();
        for line in reader.by_ref().lines().map_while(Result::ok) {
            match line.is_empty() {
                true => break,
                false => head.push(line),
            }
        }
        let mut request = Self {
            head,
            body: Vec::new(),
        };
        let length = request.header("content-length").parse().unwrap_or(0);
        reader.take(length).read_to_end(&mut request.body).ok();
        request
    }

    fn header(&self, wanted: &str) -> &str {
        let mut pairs = self.head.iter().filter_map(|line| line.split_once(':'));
        let found = pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or("", |(_, value)| value.trim())
    }

    fn word(&self, number: usize) -> &str {
        let line = self.head.first().map_or("", String::as_str);
        line.split(' ').nth(number).unwrap_or_default()
    }
}

fn answer(mut stream: TcpStream, request: &Request, root: &Path, manners: &Manners) {
    let authorized = manners.authorization.as_deref();
    let bytes = if authorized.is_some_and(|value| request.header("authorization") != value) {
        empty("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n")
    } else if let Some(place) = &manners.moved_to {
        let location = format!("Location: {place}{}\r\n", request.word(1));
        empty("302 Found", &location)
    } else if manners.old && wants_hidden(request, root) {
        empty("403 Forbidden", "")
    } else {
        backend(request, root, manners.old)
            .unwrap_or_else(|_| empty("500 Internal Server Error", ""))
    };
    stream.write_all(&bytes).ok();
}

fn empty(status: &str, header: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// Whether a commit is asked for that no ref ends in.
fn wants_hidden(request: &Request, root: &Path) -> bool {
    let mut list = Command::new("git");
    list.args(["for-each-ref", "--format=%(objectname)"]);
    let shown = list.current_dir(root.join("repo.git")).output();
    let tips = shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned());
    let tips = tips.unwrap_or_default();
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let wants = body
        .split("want ")
        .skip(1)
        .filter_map(|rest| rest.get(..40));
    wants.into_iter().any(|hash| !tips.contains(hash))
}

fn backend(request: &Request, root: &Path, old: bool) -> io::Result<Vec<u8>> {
    let (path, query) = request
        .word(1)
        .split_once('?')
        .unwrap_or((request.word(1), ""));
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().envs([
        ("PATH", SEARCH_PATH),
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", request.word(0)),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("CONTENT_TYPE", request.header("content-type")),
        ("CONTENT_LENGTH", &request.body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", request.header("content-encoding")),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", "*"),
    ]);
    command.env("GIT_PROJECT_ROOT", PathBuf::from(root));
    if !old {
        command.env("GIT_PROTOCOL", request.header("git-protocol"));
    }
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.stderr(Stdio::null()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&request.body).ok();
    }
    let output = child.wait_with_output()?.stdout;
    // The program says `Status: 404 …` where HTTP has a line of its own.
    let text = String::from_utf8_lossy(&output[..output.len().min(40)]).into_owned();
    let status = text
        .strip_prefix("Status: ")
        .and_then(|text| text.lines().next());
    let mut bytes = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\n",
        status.unwrap_or("200 OK")
    );
    bytes.retain(|c| c != '\0');
    Ok([bytes.into_bytes(), output].concat())
}

/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const UNPOISONED: &str = "nothing panics while it holds this lock";
