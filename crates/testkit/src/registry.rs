//! A `docker-registry` process on a free loopback port.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::certificate::{Authority, HOST};
use crate::endpoint::{Endpoint, Login};
use crate::process::{self, Server};

/// How a registry is set up; the default is open, over plain HTTP, empty and writable.
#[derive(Debug, Default)]
pub struct Options {
    /// Demands this login (htpasswd, bcrypt).
    pub login: Option<Login>,
    /// Speaks TLS with a certificate of a new private authority.
    pub tls: bool,
    /// Serves this storage in place of a private empty one.
    pub storage: Option<PathBuf>,
    /// Refuses every write.
    pub read_only: bool,
}

/// A running registry; it stops when dropped.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    port: u16,
    login: Option<Login>,
    authority: Option<Authority>,
    _scratch: TempDir,
}

impl Registry {
    /// Starts a registry and waits until it answers.
    ///
    /// # Errors
    ///
    /// If a program that [`needs::registry`](crate::needs::registry) names is missing or fails.
    pub fn start(options: Options) -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("yadokari-registry-")
            .tempdir()?;
        let authority = options.tls.then(Authority::new).transpose()?;
        let port = free_port()?;
        let config = scratch.path().join("config.yml");
        std::fs::write(
            &config,
            configuration(&options, &scratch, authority.as_ref(), port)?,
        )?;
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none");
        let mut server = Server::start(&mut command, &scratch.path().join("log"))?;
        server.wait_until(Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })?;
        Ok(Self {
            server,
            port,
            login: options.login,
            authority,
            _scratch: scratch,
        })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `localhost:PORT`, which clients treat as loopback.
    #[must_use]
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The registry under a name that is no loopback name, so that its certificate has to be right.
    ///
    /// The name has to be mapped to 127.0.0.1 where it is used.
    #[must_use]
    pub fn named_address(&self) -> String {
        format!("{HOST}:{}", self.port)
    }

    /// The login that it demands.
    #[must_use]
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The private authority, if it speaks TLS.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// A client for looking at what it holds.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: self.address(),
            login: self.login.clone(),
            authority: self.authority.as_ref().map(Authority::certificate),
        }
    }

    /// The access and error log so far: one line for each request.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log_text()
    }
}

/// A port on 127.0.0.1 that was free a moment ago.
///
/// # Errors
///
/// If the machine has none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

fn configuration(
    options: &Options,
    scratch: &TempDir,
    authority: Option<&Authority>,
    port: u16,
) -> Result<String> {
    let storage = options
        .storage
        .clone()
        .unwrap_or_else(|| scratch.path().join("storage"));
    let mut text = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n",
        storage.display()
    );
    if options.read_only {
        text.push_str("  maintenance: {readonly: {enabled: true}}\n");
    }
    text.push_str(&format!("http:\n  addr: 127.0.0.1:{port}\n"));
    if let Some(authority) = authority {
        let (certificate, key) = (authority.server_certificate(), authority.server_key());
        let tls = format!(
            "  tls: {{certificate: {}, key: {}}}\n",
            certificate.display(),
            key.display()
        );
        text.push_str(&tls);
    }
    if let Some(login) = &options.login {
        let file = scratch.path().join("htpasswd");
        let line =
            process::run(Command::new("htpasswd").args(["-Bbn", &login.user, &login.password]))?;
        std::fs::write(&file, line)?;
        text.push_str(&format!(
            "auth:\n  htpasswd: {{realm: test, path: {}}}\n",
            file.display()
        ));
    }
    Ok(text)
}
