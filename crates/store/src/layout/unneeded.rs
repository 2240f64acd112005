//! Blobs that no image on a layout's list needs any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::SystemTime;

use serde::Deserialize;
use yadokari_image::{Descriptor, Digest};

use super::{Layout, LayoutError};
use crate::entries::blob_name;
use crate::error::At;
use crate::error::StoreError;

/// What was removed from a layout, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many blobs.
    pub blobs: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// What a manifest or an index names.
#[derive(Deserialize)]
struct Document {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

impl Layout {
    /// A manifest or an index, and all blobs that it names, in indexes too.
    ///
    /// What cannot be read names nothing.
    pub fn named_by(&self, entry: &Descriptor) -> BTreeSet<Digest> {
        let mut named = BTreeSet::new();
        self.add_named(entry, &mut named);
        named
    }

    fn add_named(&self, entry: &Descriptor, named: &mut BTreeSet<Digest>) {
        if !named.insert(entry.digest) {
            return;
        }
        let bytes = self.read(entry).unwrap_or_default();
        let Ok(document) = serde_json::from_slice::<Document>(&bytes) else {
            return;
        };
        let blobs = document.config.iter().chain(&document.layers);
        named.extend(blobs.map(|blob| blob.digest));
        for inner in &document.manifests {
            self.add_named(inner, named);
        }
    }

    /// Removes these blobs, but for those that an image on the list needs.
    ///
    /// Writers that found one of them here look again before they put their image on the list.
    ///
    /// # Errors
    ///
    /// If the list cannot be read or a file not be removed.
    pub fn release(&self, blobs: &BTreeSet<Digest>) -> Result<(), LayoutError> {
        let _lock = self.lock()?;
        let needed = self.needed()?;
        for digest in blobs.difference(&needed) {
            self.remove_blob(*digest)?;
        }
        Ok(())
    }

    /// Removes a blob, needed or not; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// If the file cannot be removed.
    pub fn remove_blob(&self, digest: Digest) -> Result<(), LayoutError> {
        let path = self.path.join(blob_name(&digest));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path, error).into())
            }
            _ => Ok(()),
        }
    }

    /// Removes all blobs that no image on the list needs and that were written before `before`, or counts them.
    ///
    /// Younger ones may belong to an image that is being written. Files that are no blobs stay.
    ///
    /// # Errors
    ///
    /// If the directory or the list cannot be read, or a file not be removed.
    pub fn sweep(&self, before: SystemTime, dry_run: bool) -> Result<Swept, LayoutError> {
        let _lock = self.lock()?;
        let needed = self.needed()?;
        let directory = self.path.join("blobs/sha256");
        let mut swept = Swept::default();
        for file in fs::read_dir(&directory).at("read", &directory)? {
            let file = file.at("read", &directory)?;
            let name = file.file_name();
            let digest = name
                .to_str()
                .and_then(|hex| format!("sha256:{hex}").parse().ok());
            let Some(digest) = digest.filter(|digest| !needed.contains(digest)) else {
                continue;
            };
            // A file that went in the meantime is nobody's trouble.
            let Ok(metadata) = file.metadata() else {
                continue;
            };
            if metadata.modified().is_ok_and(|written| written < before) {
                swept.blobs += 1;
                swept.bytes += metadata.len();
                if !dry_run {
                    self.remove_blob(digest)?;
                }
            }
        }
        Ok(swept)
    }

    fn needed(&self) -> Result<BTreeSet<Digest>, LayoutError> {
        let entries = self.index()?.manifests;
        let mut needed = BTreeSet::new();
        for entry in &entries {
            self.add_named(entry, &mut needed);
        }
        Ok(needed)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::layout::Others;
    use crate::testing::export;

    const HOUR: Duration = Duration::from_secs(3600);

    fn written(directory: &Path, layers: &[&[u8]], name: &str) -> Layout {
        Layout::write(directory, &[export(layers, &[name])], Others::Keep).unwrap()
    }

    fn has(layout: &Layout, bytes: &[u8]) -> bool {
        let digest = Digest::of(bytes);
        layout.path.join(blob_name(&digest)).exists()
    }

    fn count(layout: &Layout) -> usize {
        fs::read_dir(layout.path.join("blobs/sha256"))
            .unwrap()
            .count()
    }

    #[test]
    fn blobs_that_others_need_are_not_released() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), &[b"shared", b"old"], "a:1");
        let layout = written(directory.path(), &[b"shared"], "a:2");
        let entry = layout.find("1").unwrap().unwrap();
        let named = layout.named_by(&entry);
        assert_eq!(named.len(), 4, "manifest, configuration, two layers");
        layout.release(&named).unwrap();
        assert!(has(&layout, b"old"), "it is on the list");
        layout.forget("1").unwrap();
        layout.release(&named).unwrap();
        assert!(has(&layout, b"shared") && !has(&layout, b"old"));
        assert_eq!(count(&layout), 3);
    }

    #[test]
    fn what_nothing_names_is_swept_once_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), &[b"old"], "a:1");
        let layout = written(directory.path(), &[b"new"], "a:1");
        let foreign = directory.path().join("blobs/sha256/notes.txt");
        fs::write(&foreign, "not ours").unwrap();
        let now = foreign.metadata().unwrap().modified().unwrap();
        assert_eq!(layout.sweep(now - HOUR, false).unwrap(), Swept::default());
        let counted = layout.sweep(now + HOUR, true).unwrap();
        assert_eq!(counted.blobs, 3);
        assert!(counted.bytes > 3 && has(&layout, b"old"));
        assert_eq!(layout.sweep(now + HOUR, false).unwrap(), counted);
        assert!(!has(&layout, b"old") && has(&layout, b"new") && foreign.exists());
        assert_eq!(layout.sweep(now + HOUR, false).unwrap(), Swept::default());
    }

    #[test]
    fn indexes_name_what_their_manifests_name() {
        let directory = tempfile::tempdir().unwrap();
        let layout = written(directory.path(), &[b"layer"], "a:1");
        let manifest = layout.find("1").unwrap().unwrap();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
        let outer = Descriptor::of("application/vnd.oci.image.index.v1+json", index.as_bytes());
        fs::write(layout.path.join(blob_name(&outer.digest)), &index).unwrap();
        assert!(layout.named_by(&outer).contains(&Digest::of(b"layer")));
        let cyclic = layout.named_by(&Descriptor::of("x", b"not there"));
        assert_eq!(cyclic.len(), 1, "what is not there names nothing");
    }
}
