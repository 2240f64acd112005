//! A proxy before a registry: counts what passes, limits the size of bodies, and fails at random where asked to.

mod connection;
mod fault;
mod message;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

pub use fault::Faults;

/// What a [`Tap`] does besides passing everything on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Requests to fail.
    pub faults: Option<Faults>,
    /// The longest body of a request that is let through, in bytes.
    pub body_limit: Option<BodyLimit>,
    /// Mounts are asked for in vain, as of registries that know none: each becomes the start of an upload.
    pub no_mounts: bool,
    /// The first copy of every blob that is read has a byte that is another one.
    pub spoils_first_copies: bool,
    /// A part of the paths that nobody may write to, such as `/cache/`: what would change something there is forbidden.
    pub read_only: Option<&'static str>,
}

/// How long a request's body may be, as reverse proxies have it set.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit {
    /// The limit in bytes.
    pub bytes: u64,
    /// Whether the connection is cut at once, so that a client still sending may never see the answer 413.
    pub hangs_up: bool,
}

/// What passed so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections, those that began with TLS and were closed among them.
    pub connections: u64,
    /// Requests by method and kind, such as `HEAD blob`.
    pub requests: BTreeMap<String, u64>,
    /// Requests that were made to fail, by how.
    pub faults: BTreeMap<String, u64>,
    /// Bytes from clients.
    pub sent: u64,
    /// Bytes to clients.
    pub received: u64,
}

/// A proxy on a free loopback port, over plain HTTP; it stops when dropped.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
}

/// What all connections see.
#[derive(Debug)]
struct Shared {
    target: u16,
    behaviour: Behaviour,
    stopping: AtomicBool,
    /// Requests so far, which with the seed decide about faults.
    number: AtomicU64,
    counts: Mutex<Counts>,
    /// Paths of blobs that were read.
    read: Mutex<HashSet<String>>,
}

impl Shared {
    /// Whether a blob is read for the first time.
    fn is_first_copy(&self, method: &str, target: &str) -> bool {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        method == "GET" && target.contains("/blobs/sha256:") && read.insert(target.to_owned())
    }
}

impl Counts {
    /// Requests of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

impl Tap {
    /// Starts a proxy before the registry on 127.0.0.1:`target`.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn start(target: u16, behaviour: Behaviour) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            target,
            behaviour,
            stopping: AtomicBool::new(false),
            number: AtomicU64::new(0),
            counts: Mutex::default(),
            read: Mutex::default(),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Ok(Self {
            shared,
            port,
            acceptor: Some(acceptor),
        })
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// What passed since the start, or since the last call.
    #[must_use]
    pub fn take_counts(&self) -> Counts {
        std::mem::take(&mut *self.shared.counts())
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A last connection wakes the acceptor.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            shared.counts().connections += 1;
            // Errors of a connection are what its client sees.
            let _ = connection::serve(&client, &shared);
            let _ = client.shutdown(Shutdown::Both);
        });
    }
}

/// Reads and throws away what a client still sends, so that closing does not take the answer back.
fn linger(client: &TcpStream) {
    let _ = client.shutdown(Shutdown::Write);
    let _ = client.set_read_timeout(Some(std::time::Duration::from_secs(2)));
    let mut rest = [0; 65536];
    let mut client = client;
    while matches!(client.read(&mut rest), Ok(1..)) {}
}
