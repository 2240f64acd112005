//! A private certificate authority, made with `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process;

/// The host name, besides `localhost` and `127.0.0.1`, that server certificates are made for.
///
/// Clients treat loopback names leniently, so a test that wants certificates checked uses this one and maps it to
/// 127.0.0.1.
pub const HOST: &str = "registry.test";

/// A certificate authority nobody trusts, and one server certificate signed by it.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
}

impl Authority {
    /// Makes the authority and a server certificate for [`HOST`], `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// If `openssl` fails.
    pub fn new() -> Result<Self> {
        let authority = Self {
            directory: tempfile::tempdir()?,
        };
        authority.make_root()?;
        authority
            .sign_server()
            .context("cannot sign a server certificate")?;
        Ok(authority)
    }

    /// The authority's own certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// The server's certificate, PEM.
    #[must_use]
    pub fn server_certificate(&self) -> PathBuf {
        self.path("server.crt")
    }

    /// The server's private key, PEM.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.path("server.key")
    }

    /// A directory that holds only the authority's certificate, as `curl`, `skopeo` and `docker` want it.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.path("trusted")
    }

    fn make_root(&self) -> Result<()> {
        let certificate = self.certificate();
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args([
            "-subj",
            "/CN=yadokari test authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ])
        .args(["-addext", "keyUsage=critical,keyCertSign", "-keyout"])
        .arg(self.path("ca.key"))
        .arg("-out")
        .arg(&certificate)
        .run()?;
        std::fs::create_dir(self.directory())?;
        std::fs::copy(&certificate, self.directory().join("ca.crt"))?;
        Ok(())
    }

    fn sign_server(&self) -> Result<()> {
        let names = format!(
            "subjectAltName=DNS:{HOST},DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"
        );
        std::fs::write(self.path("server.ext"), names)?;
        openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=registry",
        ])
        .arg("-keyout")
        .arg(self.server_key())
        .arg("-out")
        .arg(self.path("server.csr"))
        .run()?;
        openssl(&["x509", "-req", "-days", "30", "-CAcreateserial", "-in"])
            .arg(self.path("server.csr"))
            .arg("-CA")
            .arg(self.certificate())
            .arg("-CAkey")
            .arg(self.path("ca.key"))
            .arg("-extfile")
            .arg(self.path("server.ext"))
            .arg("-out")
            .arg(self.server_certificate())
            .run()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// A started `openssl` command line.
struct OpenSsl(Command);

fn openssl(words: &[&str]) -> OpenSsl {
    let mut command = Command::new("openssl");
    command.args(words);
    OpenSsl(command)
}

impl OpenSsl {
    fn arg(mut self, word: impl AsRef<Path>) -> Self {
        self.0.arg(word.as_ref());
        self
    }

    fn args<const N: usize>(mut self, words: [&str; N]) -> Self {
        self.0.args(words);
        self
    }

    fn run(mut self) -> Result<()> {
        process::run(&mut self.0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{needs, skip_unless};

    #[test]
    fn the_server_certificate_is_signed_for_the_host() {
        skip_unless!(needs::program("openssl"));
        let authority = Authority::new().unwrap();
        openssl(&["verify", "-verify_hostname", HOST, "-CAfile"])
            .arg(authority.certificate())
            .arg(authority.server_certificate())
            .run()
            .unwrap();
    }
}
