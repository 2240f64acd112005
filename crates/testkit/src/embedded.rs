//! A small [distribution](https://github.com/opencontainers/distribution-spec/blob/main/spec.md) registry in this
//! process: no program to install, no privilege, and every request on record.
//!
//! It does what a builder and `skopeo` ask of a registry: pull with ranges, chunked and whole uploads, mounts between
//! repositories, tags, deletion. Blobs stream to disk, and what does not match its digest is refused.

mod http;
mod routes;
mod storage;

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tempfile::TempDir;

use http::Request;
use storage::Storage;

use crate::endpoint::Endpoint;
use crate::layout::{self, Layout};

/// A registry on a free loopback port, over plain HTTP; it stops when dropped.
#[derive(Debug)]
pub struct EmbeddedRegistry {
    shared: Arc<Shared>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
    _scratch: Option<TempDir>,
}

/// What all connections see.
#[derive(Debug)]
struct Shared {
    storage: Storage,
    stopping: AtomicBool,
    /// The open connections by the client's address, to be closed at the end.
    connections: Mutex<HashMap<SocketAddr, TcpStream>>,
    record: Mutex<Vec<String>>,
}

impl EmbeddedRegistry {
    /// Starts an empty registry whose storage goes when it stops.
    ///
    /// # Errors
    ///
    /// If there is no free port or no temporary directory.
    pub fn start() -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("yadokari-registry-")
            .tempdir()?;
        let directory = scratch.path().to_path_buf();
        Self::serve(directory, 0, Some(scratch))
    }

    /// Starts a registry over a directory that is kept, on a port of choice; 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the port is taken or the directory cannot be written.
    pub fn start_in(directory: &Path, port: u16) -> Result<Self> {
        Self::serve(directory.to_path_buf(), port, None)
    }

    /// `localhost:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A client for filling it and for looking at what it holds.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address(),
            login: None,
            authority: None,
        }
    }

    /// Takes in the only image of a layout without a request.
    ///
    /// # Errors
    ///
    /// If a blob cannot be read or stored.
    pub fn add(&self, layout: &Layout, repository: &str, tag: &str) -> Result<()> {
        let image = layout.image()?;
        let config = layout::text(&image.manifest["config"]["digest"])?.to_string();
        for digest in image.layers().into_iter().chain([config]) {
            let mut blob = File::open(layout.blob_path(&digest))?;
            self.shared
                .storage
                .add_blob(repository, &digest, &mut blob)?;
        }
        let media_type = layout::text(&image.descriptor["mediaType"])?;
        self.shared
            .storage
            .put_manifest(repository, tag, media_type, &image.manifest_bytes)?;
        Ok(())
    }

    /// A manifest that was pushed: its digest and its bytes.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        let (digest, _, bytes) = self.shared.storage.manifest(repository, reference)?;
        Some((digest, bytes))
    }

    /// Every request so far, as `METHOD /path STATUS`, in the order of the answers.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.record().clone()
    }

    fn serve(directory: PathBuf, port: u16, scratch: Option<TempDir>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("cannot listen on port {port}"))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            storage: Storage::open(&directory)?,
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            record: Mutex::default(),
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self {
            shared,
            port,
            acceptor: Some(acceptor),
            _scratch: scratch,
        })
    }
}

impl Drop for EmbeddedRegistry {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _wakes_the_acceptor = TcpStream::connect(("127.0.0.1", self.port));
        for (_, connection) in self.shared.connections().drain() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, HashMap<SocketAddr, TcpStream>> {
        self.connections
            .lock()
            .expect("no thread panics while it holds this lock")
    }

    fn record(&self) -> MutexGuard<'_, Vec<String>> {
        self.record
            .lock()
            .expect("no thread panics while it holds this lock")
    }
}

/// Takes connections, each into a thread of its own, until the registry stops.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, client)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(copy) = stream.try_clone() else {
            continue;
        };
        shared.connections().insert(client, copy);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A broken connection is the client's to notice.
            let _ = converse(&stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
            shared.connections().remove(&client);
        });
    }
}

/// Answers the requests of one connection until the client closes it.
fn converse(stream: &TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = Request::read(&mut reader, stream)? {
        let response = routes::answer(&shared.storage, &mut request);
        request.skip_body()?;
        shared.record().push(format!(
            "{} {} {}",
            request.method, request.path, response.status
        ));
        let keep = request.keep_alive;
        let head_only = request.method == "HEAD";
        response.write(stream, head_only, keep)?;
        if !keep {
            break;
        }
    }
    Ok(())
}
