//! A server that speaks just enough HTTP to refuse what a registry is asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// The server; it stops when dropped.
pub(crate) struct Refusing {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    server: Option<JoinHandle<()>>,
}

/// A request: its first line, and whether it brings credentials.
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) authorized: bool,
}

/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

impl Refusing {
    /// Listens on a free port of this address and answers each request with a status.
    pub(crate) fn start(ip: IpAddr, answer: fn(&Asked) -> u16) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let (stop, count) = (Arc::clone(&stopping), Arc::clone(&asked));
        let server = std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                count.fetch_add(1, Ordering::Relaxed);
                // Who goes away in the middle misses its answer.
                let _ = refuse(&connection, answer);
            }
        });
        Self {
            address,
            stopping,
            asked,
            server: Some(server),
        }
    }

    /// How often somebody connected, which is once for each request.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// `ADDRESS:PORT`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

fn refuse(connection: &TcpStream, answer: fn(&Asked) -> u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    // Who speaks TLS is told that this is none.
    if reader.fill_buf()?.first() == Some(&TLS_HANDSHAKE) {
        return write!({ connection }, "HTTP/1.1 400 Bad Request\r\n\r\n");
    }
    let mut lines = reader.lines();
    let mut asked = Asked {
        line: lines.next().transpose()?.unwrap_or_default(),
        authorized: false,
    };
    for header in lines {
        let header = header?.to_lowercase();
        if header.is_empty() {
            break;
        }
        asked.authorized |= header.starts_with("authorization:");
    }
    let head = match answer(&asked) {
        401 => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"registry\"".to_owned(),
        429 => "429 Too Many Requests\r\nRetry-After: 86400".to_owned(),
        status => format!("{status} As Told"),
    };
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

impl Drop for Refusing {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The server looks at the flag when somebody calls.
        drop(TcpStream::connect(self.address));
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}
