//! What a cache holds, what of it may go, and whether it is what it says.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use yadokari_image::{Digest, Manifest};
use yadokari_layer::decompressed;
use yadokari_store::Swept;

use crate::mounts::{MountStore, Saved};
use crate::note::CREATED;
use crate::record::claimed;
use crate::scope::{Name, parse_tag};
use crate::{CacheError, LayerCache, Place, Record};

/// One thing that a cache holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its tag.
    pub tag: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it is.
    pub kind: EntryKind,
    /// The scope it belongs to.
    pub scope: Option<String>,
    /// When it was made, RFC 3339; empty where it does not say.
    pub created: String,
    /// Compressed size of its layer in bytes.
    pub size: u64,
}

/// Kinds of entries.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryKind {
    /// The layer of a step.
    Record(Box<Record>),
    /// What the last builds of a target were made from.
    Trail,
    /// What is known of a downloaded file.
    Download,
    /// A saved cache mount.
    Mount(Box<Saved>),
    /// A record that cannot be read.
    Damaged,
}

/// What may stay when a cache is pruned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Entries older than this go.
    pub older_than: Option<Duration>,
    /// The oldest go until what is left has no more bytes than this.
    pub keep_storage: Option<u64>,
}

/// Something that is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The entry's tag.
    pub tag: String,
    /// What is wrong.
    pub problem: String,
}

/// Chooses what has to go, oldest first. Layers that several entries share are counted once.
pub fn doomed<'e>(entries: &'e [Entry], limits: &Limits, now: SystemTime) -> Vec<&'e Entry> {
    let mut by_age: Vec<&Entry> = entries.iter().collect();
    by_age.sort_by(|one, other| (made(one), &one.tag).cmp(&(made(other), &other.tag)));
    let is_old = |entry: &Entry| {
        let age = now.duration_since(made(entry)).unwrap_or_default();
        limits.older_than.is_some_and(|limit| age >= limit)
    };
    let young = by_age
        .iter()
        .position(|entry| !is_old(entry))
        .unwrap_or(by_age.len());
    let mut count = young;
    if let Some(keep) = limits.keep_storage {
        while count < by_age.len() && total(&by_age[count..]) > keep {
            count += 1;
        }
    }
    by_age.truncate(count);
    by_age
}

/// What is not known to be young is old.
fn made(entry: &Entry) -> SystemTime {
    humantime::parse_rfc3339(&entry.created).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn total(entries: &[&Entry]) -> u64 {
    let mut layers = std::collections::BTreeMap::new();
    for entry in entries {
        let layer = match &entry.kind {
            EntryKind::Record(record) => record.layer.digest,
            EntryKind::Trail | EntryKind::Download | EntryKind::Mount(_) | EntryKind::Damaged => {
                entry.digest
            }
        };
        layers.insert(layer, entry.size);
    }
    layers.values().sum()
}

/// How long what nothing names yet may belong to somebody who is still writing.
const UNDER_WAY: Duration = Duration::from_secs(3600);

/// How many entries are asked about at the same time.
const CONCURRENT: usize = 16;

impl LayerCache {
    /// Everything that this program put there, in all scopes, sorted by tag. What others put there is passed over.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place cannot be read.
    pub async fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let mut entries: Vec<Entry> = match &self.place {
            Place::Registry(registry) => {
                let tags = registry.tags().await?.into_iter();
                let asked = tags.filter_map(|tag| Some((parse_tag(&tag)?, tag)));
                stream::iter(asked)
                    .map(|(name, tag)| async move {
                        let manifest = registry.manifest(&tag).await?;
                        Ok::<_, CacheError>(manifest.map(|bytes| entry(name, tag, &bytes)))
                    })
                    .buffer_unordered(CONCURRENT)
                    .try_filter_map(|entry| async { Ok(entry) })
                    .try_collect()
                    .await?
            }
            Place::Directory(directory) => {
                let tags = directory.tags()?.into_iter();
                let path = directory.path();
                tags.filter_map(|(tag, found)| {
                    let name = parse_tag(&tag)?;
                    let bytes = std::fs::read(blob_path(path, found.digest)).unwrap_or_default();
                    Some(Entry {
                        digest: found.digest,
                        ..entry(name, tag, &bytes)
                    })
                })
                .collect()
            }
        };
        entries.sort_by(|one, other| one.tag.cmp(&other.tag));
        Ok(entries)
    }

    /// Removes entries. In a directory their bytes are freed; in a registry its own clean-up does that.
    ///
    /// # Errors
    ///
    /// [`CacheError`] at the first that cannot be removed. Many registries refuse to delete unless told otherwise.
    pub async fn remove(&self, entries: &[&Entry]) -> Result<(), CacheError> {
        match &self.place {
            Place::Registry(registry) => {
                stream::iter(entries.iter().map(|entry| registry.delete(entry.digest)))
                    .buffer_unordered(CONCURRENT)
                    .try_collect()
                    .await
            }
            Place::Directory(directory) => {
                let tags: Vec<String> = entries.iter().map(|entry| entry.tag.clone()).collect();
                directory.remove(&tags)
            }
        }
    }

    /// Removes what nothing here needs any more and what was not just written, or counts it: what earlier versions, and
    /// builds that were cut off, left in a directory. A registry has a clean-up of its own, and nothing is done.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the directory cannot be read or a file not be removed.
    pub fn sweep(&self, now: SystemTime, dry_run: bool) -> Result<Swept, CacheError> {
        match &self.place {
            Place::Registry(_) => Ok(Swept::default()),
            Place::Directory(directory) => directory.sweep(now - UNDER_WAY, dry_run),
        }
    }

    /// Reads the layers of all records and compares them with what the records say.
    ///
    /// # Errors
    ///
    /// [`CacheError`] if the place itself cannot be read; what is wrong with an entry is a [`Finding`].
    pub async fn verify(&self, entries: &[Entry]) -> Result<Vec<Finding>, CacheError> {
        let checks = stream::iter(entries)
            .map(|entry| async move {
                let problem = match &entry.kind {
                    EntryKind::Record(record) => self.check(record).await.err(),
                    EntryKind::Trail | EntryKind::Download => None,
                    EntryKind::Mount(_) => self.check_mount(&entry.tag).await.err(),
                    EntryKind::Damaged => Some("the record cannot be read".to_owned()),
                };
                problem.map(|problem| Finding {
                    tag: entry.tag.clone(),
                    problem,
                })
            })
            .buffered(4);
        Ok(checks
            .filter_map(|finding| async { finding })
            .collect()
            .await)
    }

    /// Reads all chunks of a cache mount; says what is wrong with them.
    async fn check_mount(&self, tag: &str) -> Result<(), String> {
        let store = match &self.place {
            Place::Directory(directory) => MountStore::in_directory(directory.path().to_owned()),
            Place::Registry(registry) => {
                MountStore::in_repository(&registry.client, registry.repository().clone())
            }
        };
        store.verify(tag).await.map_err(|error| chain(&error))
    }

    /// Reads one layer; says what is wrong with it.
    async fn check(&self, record: &Record) -> Result<(), String> {
        let record = record.clone();
        let told = |error: &dyn std::error::Error| chain(error);
        match &self.place {
            Place::Directory(directory) => {
                let path = blob_path(directory.path(), record.layer.digest);
                blocking(move || {
                    let file = std::fs::File::open(&path)
                        .map_err(|error| format!("its layer cannot be opened: {error}"))?;
                    compare(&record, file)
                })
                .await
            }
            Place::Registry(registry) => {
                let opened = registry
                    .client
                    .blob(registry.repository(), &record.layer)
                    .await;
                let mut reader = opened.map_err(|error| told(&error))?;
                let mut file = tempfile::tempfile().map_err(|error| told(&error))?;
                let mut buffer = vec![0; 1 << 18];
                loop {
                    let count = reader
                        .read(&mut buffer)
                        .await
                        .map_err(|error| told(&error))?;
                    if count == 0 {
                        break;
                    }
                    io::Write::write_all(&mut file, &buffer[..count])
                        .map_err(|error| told(&error))?;
                }
                blocking(move || {
                    io::Seek::rewind(&mut file).map_err(|error| error.to_string())?;
                    compare(&record, file)
                })
                .await
            }
        }
    }
}

fn entry(name: Name, tag: String, manifest: &[u8]) -> Entry {
    let digest = Digest::of(manifest);
    let plain = |kind, created, size| Entry {
        tag: tag.clone(),
        digest,
        kind,
        scope: tag.rsplit_once('.').map(|(scope, _)| scope.to_owned()),
        created,
        size,
    };
    let Ok(parsed) = Manifest::parse(manifest) else {
        return plain(EntryKind::Damaged, String::new(), 0);
    };
    match name {
        Name::Trail(_) | Name::Download(_) => {
            let annotations = parsed.annotations.unwrap_or_default();
            let created = annotations.get(CREATED).cloned().unwrap_or_default();
            let kind = match name {
                Name::Trail(_) => EntryKind::Trail,
                _ => EntryKind::Download,
            };
            plain(kind, created, parsed.config.size)
        }
        Name::Mount => match Saved::summary(manifest) {
            Some(saved) => {
                let chunks = parsed.layers().iter().map(|chunk| chunk.size).sum();
                plain(
                    EntryKind::Mount(Box::new(saved.clone())),
                    saved.created,
                    chunks,
                )
            }
            None => plain(EntryKind::Damaged, String::new(), 0),
        },
        Name::Record(key) => match claimed(&parsed) {
            Some((claimed, scope, record)) if claimed == key => Entry {
                scope,
                ..plain(
                    EntryKind::Record(Box::new(record.clone())),
                    record.created.clone(),
                    record.layer.size,
                )
            },
            _ => plain(EntryKind::Damaged, String::new(), 0),
        },
    }
}

fn blob_path(directory: &Path, digest: Digest) -> std::path::PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Compares the bytes of a layer with its digest, its size and its diff id.
fn compare(record: &Record, mut file: std::fs::File) -> Result<(), String> {
    let failed = |error: io::Error| format!("its layer cannot be read: {error}");
    let (digest, size) = digest_of(&mut file).map_err(failed)?;
    if (digest, size) != (record.layer.digest, record.layer.size) {
        return Err(format!(
            "its layer is {digest} of {size} bytes, not {} of {}",
            record.layer.digest, record.layer.size
        ));
    }
    io::Seek::rewind(&mut file).map_err(failed)?;
    let mut archive = decompressed(file).map_err(failed)?;
    let (found, _) = digest_of(&mut archive).map_err(failed)?;
    if found.to_string() != record.diff_id.to_string() {
        return Err(format!(
            "its layer unpacks to {found}, not to {}",
            record.diff_id
        ));
    }
    Ok(())
}

fn digest_of(reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut size = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..count]);
        size += count as u64;
    }
    Ok((Digest::from_sha256(hasher.finalize().into()), size))
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn entry(tag: &str, created: &str, size: u64) -> Entry {
        Entry {
            tag: tag.to_owned(),
            digest: Digest::of(tag.as_bytes()),
            kind: EntryKind::Trail,
            scope: None,
            created: created.to_owned(),
            size,
        }
    }

    fn tags(limits: Limits) -> Vec<String> {
        let entries = [
            entry("third", "2020-01-03T00:00:00Z", 30),
            entry("first", "2020-01-01T00:00:00Z", 10),
            entry("unknown", "", 5),
            entry("second", "2020-01-02T00:00:00Z", 20),
        ];
        let now = humantime::parse_rfc3339("2020-01-04T00:00:00Z").unwrap();
        let gone = doomed(&entries, &limits, now);
        gone.iter().map(|entry| entry.tag.clone()).collect()
    }

    #[test]
    fn the_oldest_go_first() {
        let older_than = |days| Limits {
            older_than: Some(DAY * days),
            ..Limits::default()
        };
        let keep = |bytes| Limits {
            keep_storage: Some(bytes),
            ..Limits::default()
        };
        assert_eq!(tags(Limits::default()), [""; 0]);
        assert_eq!(tags(older_than(2)), ["unknown", "first", "second"]);
        assert_eq!(tags(older_than(9)), ["unknown"]);
        assert_eq!(tags(keep(65)), [""; 0]);
        assert_eq!(tags(keep(59)), ["unknown", "first"]);
        assert_eq!(tags(keep(0)).len(), 4);
        assert_eq!(
            tags(Limits {
                older_than: Some(DAY * 3),
                keep_storage: Some(30)
            }),
            ["unknown", "first", "second"]
        );
    }
}
