//! A registry seen from outside: tags, manifests and blobs over HTTP, spoken by `curl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::layout::{Layout, text};
use crate::process;

/// The media types asked for when a manifest is read.
const MANIFESTS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// User name and password of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Where a registry answers, and what it takes to be let in.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `localhost:PORT`.
    pub address: String,
    /// Asked for with HTTP basic authentication, if set.
    pub login: Option<Login>,
    /// The certificate of the private authority, if the registry speaks TLS.
    pub authority: Option<PathBuf>,
}

/// An answer of a registry.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// Where an upload continues.
    pub location: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Endpoint {
    /// The URL of a path below `/v2/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/v2/{path}", self.address)
    }

    /// The tags of a repository, in the registry's order; none if there is no such repository.
    ///
    /// # Errors
    ///
    /// If the registry does not answer with 200 or 404.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>> {
        let answer = self.call(&self.url(&format!("{repository}/tags/list")), &[])?;
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        ensure!(
            answer.status == 200,
            "tags of {repository}: {}",
            answer.status
        );
        let list: Value = serde_json::from_slice(&answer.body)?;
        let tags = list["tags"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(tags
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_string)
            .collect())
    }

    /// A manifest or index, with its descriptor.
    ///
    /// # Errors
    ///
    /// If the registry has none of that name.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<(Value, Vec<u8>)> {
        let accept = format!("Accept: {}", MANIFESTS.join(", "));
        let answer = self.call(
            &self.url(&format!("{repository}/manifests/{reference}")),
            &["-H", &accept],
        )?;
        ensure!(
            answer.status == 200,
            "manifest {repository}:{reference}: {}",
            answer.status
        );
        let digest = crate::digest::of(&answer.body);
        let descriptor =
            json!({"mediaType": answer.content_type, "digest": digest, "size": answer.body.len()});
        Ok((descriptor, answer.body))
    }

    /// The digest of a manifest, or nothing if there is none of that name.
    ///
    /// # Errors
    ///
    /// If the registry cannot be reached.
    pub fn digest(&self, repository: &str, reference: &str) -> Result<Option<String>> {
        Ok(
            match self.tags(repository)?.iter().any(|tag| tag == reference) {
                true => Some(text(&self.manifest(repository, reference)?.0["digest"])?.to_string()),
                false => None,
            },
        )
    }

    /// Downloads an image into a layout: manifest, configuration and layers, each checked against its digest.
    ///
    /// # Errors
    ///
    /// If a part is missing or has the wrong bytes, or if the name is that of an index.
    pub fn pull(&self, repository: &str, reference: &str, directory: &Path) -> Result<Layout> {
        let layout = Layout::create(directory)?;
        let (descriptor, bytes) = self.manifest(repository, reference)?;
        layout.add_blob(text(&descriptor["mediaType"])?, &bytes)?;
        let manifest: Value = serde_json::from_slice(&bytes)?;
        let layers = manifest["layers"]
            .as_array()
            .context("an index, or a manifest without layers")?;
        for part in layers.iter().chain([&manifest["config"]]) {
            self.download(repository, text(&part["digest"])?, &layout)?;
        }
        layout.set_manifest(&descriptor)?;
        Ok(layout)
    }

    /// Uploads the only image of a layout.
    ///
    /// # Errors
    ///
    /// If the registry refuses a part.
    pub fn push(&self, layout: &Layout, repository: &str, tag: &str) -> Result<()> {
        let image = layout.image()?;
        let config = text(&image.manifest["config"]["digest"])?.to_string();
        for digest in image.layers().into_iter().chain([config]) {
            self.upload(repository, &digest, &layout.blob_path(&digest))?;
        }
        let manifest = layout.blob_path(&image.digest());
        let kind = format!("Content-Type: {}", text(&image.descriptor["mediaType"])?);
        self.put(
            &self.url(&format!("{repository}/manifests/{tag}")),
            &manifest,
            &kind,
        )
    }

    /// Sends a file as a blob.
    ///
    /// # Errors
    ///
    /// If the registry refuses it, as it does where the digest is another one.
    pub fn upload(&self, repository: &str, digest: &str, file: &Path) -> Result<()> {
        let start = self.call(
            &self.url(&format!("{repository}/blobs/uploads/")),
            &["-X", "POST", "-d", ""],
        )?;
        ensure!(
            start.status == 202,
            "upload to {repository}: {}",
            start.status
        );
        let separator = if start.location.contains('?') {
            '&'
        } else {
            '?'
        };
        let place = match start.location.strip_prefix("/v2/") {
            Some(path) => self.url(path),
            None => start.location.clone(),
        };
        self.put(
            &format!("{place}{separator}digest={digest}"),
            file,
            "Content-Type: application/octet-stream",
        )
    }

    fn put(&self, url: &str, file: &Path, kind: &str) -> Result<()> {
        let file = file.to_str().context("a path that is not UTF-8")?;
        let answer = self.call(url, &["-X", "PUT", "-T", file, "-H", kind])?;
        ensure!(
            answer.status == 201,
            "PUT {url}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(())
    }

    fn download(&self, repository: &str, digest: &str, layout: &Layout) -> Result<()> {
        let bytes = self.blob(repository, digest)?;
        std::fs::write(layout.blob_path(digest), bytes)?;
        Ok(())
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    ///
    /// If the registry has none with this digest, or sends other bytes.
    pub fn blob(&self, repository: &str, digest: &str) -> Result<Vec<u8>> {
        let answer = self.call(&self.url(&format!("{repository}/blobs/{digest}")), &["-L"])?;
        ensure!(
            answer.status == 200,
            "blob {digest} of {repository}: {}",
            answer.status
        );
        let found = crate::digest::of(&answer.body);
        ensure!(
            found == digest,
            "blob {digest} of {repository} came as {found}"
        );
        Ok(answer.body)
    }

    /// Sends one request with further words for `curl`.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub fn call(&self, url: &str, words: &[&str]) -> Result<Answer> {
        let body = tempfile::NamedTempFile::new()?;
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--noproxy",
            "*",
            "-w",
            "%{http_code}\n%{content_type}\n%header{location}",
            "-o",
        ]);
        command.arg(body.path()).args(words).arg(url);
        if let Some(login) = &self.login {
            command
                .arg("-u")
                .arg(format!("{}:{}", login.user, login.password));
        }
        if let Some(authority) = &self.authority {
            command.arg("--cacert").arg(authority);
        }
        let said = process::run(&mut command)?;
        let mut lines = said.lines().map(str::to_string);
        let mut next = || lines.next().unwrap_or_default();
        let status = next().parse().context("curl gave no status")?;
        Ok(Answer {
            status,
            content_type: next(),
            location: next(),
            body: std::fs::read(body.path())?,
        })
    }
}
