//! Blobs, manifests, tags and unfinished uploads of the embedded registry, on disk.
//!
//! ```text
//! blobs/<hex>                    bytes of a blob or manifest
//! uploads/<number>               bytes of an unfinished upload
//! repositories/<name>/_blobs/<hex>       the repository holds this blob
//! repositories/<name>/_manifests/<hex>   … this manifest; the file holds its media type
//! repositories/<name>/_tags/<tag>        the digest that the tag names
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::digest;

/// The registry's directory.
#[derive(Debug)]
pub(super) struct Storage {
    directory: PathBuf,
    uploads: AtomicU64,
}

/// Why an upload could not be finished.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no such upload.
    Unknown,
    /// The bytes have another digest.
    Digest(String),
    /// The disk.
    Io(io::Error),
}

impl std::error::Error for Refused {}

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => write!(formatter, "no such upload"),
            Self::Digest(found) => write!(formatter, "the bytes have {found}"),
            Self::Io(error) => error.fmt(formatter),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Storage {
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        for name in ["blobs", "uploads", "repositories"] {
            fs::create_dir_all(directory.join(name))?;
        }
        Ok(Self {
            directory: directory.to_path_buf(),
            uploads: AtomicU64::new(1),
        })
    }

    /// Opens a blob that the repository holds; its length comes with it.
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<(File, u64)> {
        let hex = hex(digest)?;
        if !self.of(repository, "_blobs", hex).exists() {
            return None;
        }
        let file = File::open(self.directory.join("blobs").join(hex)).ok()?;
        let length = file.metadata().ok()?.len();
        Some((file, length))
    }

    /// Lets a repository hold a blob of another one; says whether it could.
    pub(super) fn mount(&self, from: &str, to: &str, digest: &str) -> io::Result<bool> {
        match hex(digest) {
            Some(hex) if self.blob(from, digest).is_some() => {
                self.write(to, "_blobs", hex, b"").map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Starts an upload and returns its name.
    pub(super) fn start_upload(&self) -> io::Result<String> {
        let name = self.uploads.fetch_add(1, Ordering::Relaxed).to_string();
        File::create(self.upload(&name))?;
        Ok(name)
    }

    /// Appends to an upload and returns its new length, or nothing if there is no such upload.
    pub(super) fn append(&self, upload: &str, body: &mut dyn Read) -> io::Result<Option<u64>> {
        match OpenOptions::new().append(true).open(self.upload(upload)) {
            Ok(mut file) => {
                io::copy(body, &mut file)?;
                Ok(Some(file.metadata()?.len()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The length of an upload.
    pub(super) fn upload_length(&self, upload: &str) -> Option<u64> {
        fs::metadata(self.upload(upload))
            .ok()
            .map(|metadata| metadata.len())
    }

    /// Forgets an upload.
    pub(super) fn cancel(&self, upload: &str) -> bool {
        fs::remove_file(self.upload(upload)).is_ok()
    }

    /// Makes an upload a blob of the repository.
    pub(super) fn finish(
        &self,
        repository: &str,
        upload: &str,
        digest: &str,
    ) -> Result<(), Refused> {
        let path = self.upload(upload);
        let mut file = File::open(&path).map_err(|_| Refused::Unknown)?;
        let (found, _) = digest::of_reader(&mut file)?;
        let Some(hex) = hex(digest).filter(|_| found == digest) else {
            fs::remove_file(&path)?;
            return Err(Refused::Digest(found));
        };
        fs::rename(&path, self.directory.join("blobs").join(hex))?;
        Ok(self.write(repository, "_blobs", hex, b"")?)
    }

    /// Takes in a whole blob.
    pub(super) fn add_blob(
        &self,
        repository: &str,
        digest: &str,
        bytes: &mut dyn Read,
    ) -> Result<(), Refused> {
        let upload = self.start_upload()?;
        self.append(&upload, bytes)?;
        self.finish(repository, &upload, digest)
    }

    /// Stores a manifest, under a tag if `reference` is none of its digests; returns its digest.
    pub(super) fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<String, Refused> {
        let digest = digest::of(bytes);
        if reference.contains(':') && reference != digest {
            return Err(Refused::Digest(digest));
        }
        let hex = hex(&digest).expect("a digest made here is well formed");
        fs::write(self.directory.join("blobs").join(hex), bytes)?;
        self.write(repository, "_manifests", hex, media_type.as_bytes())?;
        if !reference.contains(':') {
            self.write(repository, "_tags", reference, digest.as_bytes())?;
        }
        Ok(digest)
    }

    /// A manifest by tag or digest: its digest, media type and bytes.
    pub(super) fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> Option<(String, String, Vec<u8>)> {
        let digest = match reference.contains(':') {
            true => reference.to_string(),
            false => fs::read_to_string(self.of(repository, "_tags", reference)).ok()?,
        };
        let hex = hex(&digest)?;
        let media_type = fs::read_to_string(self.of(repository, "_manifests", hex)).ok()?;
        let bytes = fs::read(self.directory.join("blobs").join(hex)).ok()?;
        Some((digest, media_type, bytes))
    }

    /// Takes a manifest, with its tags, or a tag alone, out of the repository.
    pub(super) fn delete_manifest(&self, repository: &str, reference: &str) -> bool {
        let Some(hex) = hex(reference) else {
            return fs::remove_file(self.of(repository, "_tags", reference)).is_ok();
        };
        for tag in self.tags(repository).unwrap_or_default() {
            let path = self.of(repository, "_tags", &tag);
            if fs::read_to_string(&path).is_ok_and(|digest| digest == reference) {
                let _ = fs::remove_file(path);
            }
        }
        fs::remove_file(self.of(repository, "_manifests", hex)).is_ok()
    }

    /// Takes a blob out of the repository.
    pub(super) fn delete_blob(&self, repository: &str, digest: &str) -> bool {
        hex(digest).is_some_and(|hex| fs::remove_file(self.of(repository, "_blobs", hex)).is_ok())
    }

    /// The repository's tags, in order; nothing if there is no such repository.
    pub(super) fn tags(&self, repository: &str) -> Option<Vec<String>> {
        let entries = fs::read_dir(
            self.directory
                .join("repositories")
                .join(repository)
                .join("_tags"),
        )
        .ok()?;
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut tags: Vec<String> = names.collect();
        tags.sort();
        Some(tags)
    }

    fn write(&self, repository: &str, kind: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.of(repository, kind, name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)
    }

    fn of(&self, repository: &str, kind: &str, name: &str) -> PathBuf {
        self.directory
            .join("repositories")
            .join(repository)
            .join(kind)
            .join(name)
    }

    fn upload(&self, name: &str) -> PathBuf {
        self.directory.join("uploads").join(name)
    }
}

/// The hexadecimal part of a well-formed SHA-256 digest.
fn hex(digest: &str) -> Option<&str> {
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hex)
}
