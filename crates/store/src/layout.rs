//! An OCI image layout as a directory.

mod unneeded;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use yadokari_image::{Descriptor, Digest, Index, Manifest};

use crate::content::{self, BlobSource, ExportError};
use crate::entries::{Export, IMAGE_NAME, REF_NAME, blob_name, index_json};
use crate::error::{At, StoreError};
use crate::image_blobs::{ImageBlobs, InvalidImage, LayerBlob};
use crate::scratch::{ScratchFile, write_atomically};
use crate::spool::Blob;

pub use unneeded::Swept;

pub(crate) const LAYOUT_FILE: &str = "oci-layout";
pub(crate) const LAYOUT_TEXT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";
/// Manifests, configs and indexes larger than this are not read into memory.
pub(crate) const DOCUMENT_LIMIT: u64 = 16 * 1024 * 1024;

/// What becomes of the images a layout already lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They are taken off the list; their blobs stay.
    Forget,
    /// They stay, except those of a name that is written.
    Keep,
}

/// A directory with `oci-layout`, `index.json` and `blobs`.
#[derive(Debug, Clone)]
pub struct Layout {
    path: PathBuf,
}

/// Why a layout could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The directory has no `oci-layout` file.
    #[error("{} is not an OCI image layout: it has no `oci-layout` file", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// The layout is of a version other than 1.
    #[error("{} is an OCI image layout of version {found:?}; only 1.x is known", path.display())]
    Version {
        /// The directory.
        path: PathBuf,
        /// The version it claims.
        found: String,
    },
    /// A file of the layout is not the JSON it should be.
    #[error("cannot read {}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// A document is too large to be one.
    #[error("{} has {size} bytes, too many for a manifest or config", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes, as it is or as it is claimed.
        size: u64,
    },
    /// None of the images is the one that is meant, or several may be.
    #[error("{}", no_choice(path, wanted.as_deref(), names, *images))]
    Choice {
        /// The directory.
        path: PathBuf,
        /// The tag, name or digest that was asked for.
        wanted: Option<String>,
        /// The names there are.
        names: Vec<String>,
        /// How many entries there are.
        images: usize,
    },
    /// Manifest, config and layers do not fit together.
    #[error("image {digest} is not valid")]
    Image {
        /// Digest of the manifest.
        digest: Digest,
        /// What does not fit.
        source: InvalidImage,
    },
    /// A blob is missing or is not what its name says, or the disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image could not be copied in.
    #[error(transparent)]
    Export(#[from] ExportError),
}

fn no_choice(path: &Path, wanted: Option<&str>, names: &[String], images: usize) -> String {
    let path = path.display();
    let named = match names {
        [] => "none of them has a name".to_owned(),
        names => format!("their names are {}", names.join(", ")),
    };
    match (wanted, images) {
        (_, 0) => format!("{path} holds no image"),
        (Some(wanted), _) => format!("{path} has no image {wanted}; {named}"),
        (None, images) => format!("{path} holds {images} images instead of one; {named}"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    image_layout_version: String,
}

impl Layout {
    /// Opens the layout in `path`.
    ///
    /// # Errors
    ///
    /// [`LayoutError::NotALayout`] or [`LayoutError::Version`] if it is none.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let path = path.into();
        let file = path.join(LAYOUT_FILE);
        if !file.is_file() {
            return Err(LayoutError::NotALayout { path });
        }
        let Version {
            image_layout_version: found,
        } = parse(&file, &read_limited(&file)?)?;
        if found.split('.').next() != Some("1") {
            return Err(LayoutError::Version { path, found });
        }
        Ok(Self { path })
    }

    /// Writes exports into the layout in `path`, which is made if there is none.
    ///
    /// A directory that did not exist appears complete. In one that did, blobs are added
    /// first and `index.json` is replaced last, under a lock, so that readers never see
    /// an image whose blobs are missing and several processes may write at once.
    ///
    /// # Errors
    ///
    /// If a layer is not what its descriptor says, or the disk fails. The list of images is
    /// unchanged then.
    pub fn write(
        path: impl Into<PathBuf>,
        exports: &[Export],
        others: Others,
    ) -> Result<Self, LayoutError> {
        let layout = Self { path: path.into() };
        match layout.path.try_exists().at("examine", &layout.path)? {
            true => layout.add(exports, others)?,
            false => layout.write_new(exports)?,
        }
        Ok(layout)
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The list of images.
    ///
    /// # Errors
    ///
    /// If `index.json` cannot be read.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.path.join("index.json");
        parse(&path, &read_limited(&path)?)
    }

    /// The entry of the list with this tag or full name.
    ///
    /// # Errors
    ///
    /// As [`Layout::index`].
    pub fn find(&self, name: &str) -> Result<Option<Descriptor>, LayoutError> {
        let named = |entry: &Descriptor| {
            [REF_NAME, IMAGE_NAME]
                .iter()
                .any(|key| annotation(entry, key) == Some(name))
        };
        Ok(self.index()?.manifests.into_iter().find(named))
    }

    /// Takes the entries with this tag or full name off the list.
    ///
    /// Blobs stay, since other images may use them.
    ///
    /// # Errors
    ///
    /// If the list cannot be read or replaced.
    pub fn forget(&self, name: &str) -> Result<(), LayoutError> {
        let _lock = self.lock()?;
        let mut entries = self.index()?.manifests;
        entries.retain(|entry| {
            [REF_NAME, IMAGE_NAME]
                .iter()
                .all(|key| annotation(entry, key) != Some(name))
        });
        Ok(self.write_index(entries)?)
    }

    /// Reads a manifest, config or index, and checks it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`], [`StoreError::DigestMismatch`] or
    /// [`LayoutError::TooLarge`].
    pub fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let blob = self.blob(descriptor)?;
        let bytes = read_limited(&blob.path)?;
        let found = Digest::of(&bytes);
        if found != descriptor.digest {
            let expected = descriptor.digest;
            return Err(StoreError::DigestMismatch { expected, found }.into());
        }
        Ok(bytes)
    }

    /// Finds a blob; its size is checked, its bytes are not.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] or [`StoreError::SizeMismatch`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Blob, LayoutError> {
        let (digest, expected) = (descriptor.digest, descriptor.size);
        let path = self.path.join(blob_name(&digest));
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let directory = self.path.clone();
                return Err(StoreError::Missing { digest, directory }.into());
            }
            Err(error) => return Err(StoreError::io("examine", &path, error).into()),
        };
        if size != expected {
            let found = size;
            return Err(StoreError::SizeMismatch {
                digest,
                expected,
                found,
            }
            .into());
        }
        Ok(Blob { digest, size, path })
    }

    /// Reads an image: manifest and config now, layers when they are opened.
    ///
    /// # Errors
    ///
    /// If a blob is missing or manifest and config are not what they should be.
    pub fn image(&self, manifest: &Descriptor) -> Result<ImageBlobs, LayoutError> {
        let bytes = self.read(manifest)?;
        let path = self.path.join(blob_name(&manifest.digest));
        let parsed: Manifest = parse(&path, &bytes)?;
        let config = self.read(&parsed.config)?;
        let layers: Result<Vec<_>, LayoutError> = parsed
            .layers
            .into_iter()
            .flatten()
            .map(|layer| self.layer(layer))
            .collect();
        ImageBlobs::new(bytes, config, layers?).map_err(|source| LayoutError::Image {
            digest: manifest.digest,
            source,
        })
    }

    fn layer(&self, descriptor: Descriptor) -> Result<LayerBlob, LayoutError> {
        let blob = self.blob(&descriptor)?;
        Ok(LayerBlob::from_blob(descriptor, blob))
    }

    fn write_new(&self, exports: &[Export]) -> Result<(), LayoutError> {
        let parent = self.path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).at("create", parent)?;
        let beside = tempfile::Builder::new().prefix("tmp-").tempdir_in(parent);
        let beside = beside.at("create a directory in", parent)?;
        let open: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(beside.path(), open).at("change the mode of", beside.path())?;
        let draft = Self {
            path: beside.path().to_path_buf(),
        };
        draft.add(exports, Others::Forget)?;
        fs::rename(beside.path(), &self.path).at("rename a directory to", &self.path)?;
        Ok(())
    }

    fn add(&self, exports: &[Export], others: Others) -> Result<(), LayoutError> {
        let blobs = self.path.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).at("create", &blobs)?;
        for (digest, source) in content::blobs(exports) {
            self.add_blob(&blobs, digest, &source)?;
        }
        let _lock = self.lock()?;
        // Somebody may have removed, before this lock, what was found to be here.
        for (digest, source) in content::blobs(exports) {
            self.add_blob(&blobs, digest, &source)?;
        }
        let marker = self.path.join(LAYOUT_FILE);
        if !marker.try_exists().at("examine", &marker)? {
            write_atomically(&marker, LAYOUT_TEXT)?;
        }
        let new: Vec<_> = exports.iter().flat_map(Export::entries).collect();
        let mut entries = self.kept(others, &new)?;
        entries.extend(new);
        Ok(self.write_index(entries)?)
    }

    fn add_blob(
        &self,
        directory: &Path,
        digest: Digest,
        source: &BlobSource<'_>,
    ) -> Result<(), LayoutError> {
        let target = directory.join(digest.hex());
        if fs::metadata(&target).is_ok_and(|found| found.len() == source.size()) {
            return Ok(());
        }
        let failed = |source| StoreError::Source { digest, source };
        let mut reader = source.open(digest).map_err(failed)?;
        let mut file = ScratchFile::new(directory)?;
        copy(&mut reader, &mut file).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::io("write", &target, error)
            }
            _ => failed(error),
        })?;
        Ok(file.rename_to(&target)?)
    }

    /// The entries that stay when `new` ones come in.
    fn kept(&self, others: Others, new: &[Descriptor]) -> Result<Vec<Descriptor>, LayoutError> {
        let index = self.path.join("index.json");
        if others == Others::Forget || !index.try_exists().at("examine", &index)? {
            return Ok(Vec::new());
        }
        let replaced = |old: &Descriptor| new.iter().any(|new| same_entry(old, new));
        let mut entries = self.index()?.manifests;
        entries.retain(|old| !replaced(old));
        Ok(entries)
    }

    fn write_index(&self, entries: Vec<Descriptor>) -> Result<(), StoreError> {
        write_atomically(&self.path.join("index.json"), &index_json(entries))
    }

    /// Locks the list of images until the file is dropped.
    fn lock(&self) -> Result<File, StoreError> {
        let directory = File::open(&self.path).at("open", &self.path)?;
        directory.lock().at("lock", &self.path)?;
        Ok(directory)
    }
}

/// A name belongs to one image; an image without a name is listed once.
fn same_entry(old: &Descriptor, new: &Descriptor) -> bool {
    let names = |entry| (annotation(entry, IMAGE_NAME), annotation(entry, REF_NAME));
    match (names(old), names(new)) {
        ((None, None), (None, None)) => old.digest == new.digest,
        (old, new) => old == new,
    }
}

pub(crate) fn annotation<'a>(entry: &'a Descriptor, key: &str) -> Option<&'a str> {
    Some(entry.annotations.as_ref()?.get(key)?.as_str())
}

fn copy(reader: &mut dyn Read, file: &mut ScratchFile) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(crate::spool::COPY_BUFFER, file);
    io::copy(reader, &mut out)?;
    out.flush()
}

/// Reads a small file, and refuses one that is not small.
pub(crate) fn read_limited(path: &Path) -> Result<Vec<u8>, LayoutError> {
    let file = File::open(path).at("open", path)?;
    let mut bytes = Vec::new();
    file.take(DOCUMENT_LIMIT + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    let size = bytes.len() as u64;
    if size > DOCUMENT_LIMIT {
        let path = path.to_path_buf();
        return Err(LayoutError::TooLarge { path, size });
    }
    Ok(bytes)
}

pub(crate) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LayoutError> {
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Json {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{descriptor, export};

    fn names(layout: &Layout) -> Vec<String> {
        let entries = layout.index().unwrap().manifests;
        entries
            .iter()
            .map(|entry| annotation(entry, REF_NAME).unwrap_or("-").to_owned())
            .collect()
    }

    #[test]
    fn what_was_written_can_be_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/layout");
        let layout = Layout::write(&path, &[export(&[b"one"], &["a:1"])], Others::Forget).unwrap();
        assert_eq!(fs::read(path.join(LAYOUT_FILE)).unwrap(), LAYOUT_TEXT);
        let entry = layout.find("1").unwrap().unwrap();
        assert_eq!(
            layout.find("docker.io/library/a:1").unwrap().as_ref(),
            Some(&entry)
        );
        let image = Layout::open(&path).unwrap().image(&entry).unwrap();
        let mut bytes = Vec::new();
        image.layers()[0]
            .open()
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, b"one");
        assert_eq!(
            fs::read_dir(directory.path().join("new")).unwrap().count(),
            1
        );
    }

    #[test]
    fn a_second_image_joins_or_replaces_the_list() {
        let directory = tempfile::tempdir().unwrap();
        let write = |layer: &[u8], name: &str, others| {
            Layout::write(directory.path(), &[export(&[layer], &[name])], others).unwrap()
        };
        write(b"one", "a:1", Others::Keep);
        write(b"two", "a:2", Others::Keep);
        let layout = write(b"three", "a:1", Others::Keep);
        assert_eq!(names(&layout), ["2", "1"]);
        let image = layout.image(&layout.find("1").unwrap().unwrap()).unwrap();
        assert_eq!(image.layers()[0].descriptor().digest, Digest::of(b"three"));
        assert_eq!(names(&write(b"four", "a:4", Others::Forget)), ["4"]);
        layout.forget("4").unwrap();
        assert!(names(&layout).is_empty());
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let path = directory.path();
                scope.spawn(move || {
                    let export = export(&[&[number], b"shared"], &[&format!("a:{number}")]);
                    Layout::write(path, &[export], Others::Keep).unwrap();
                });
            }
        });
        let mut found = names(&Layout::open(directory.path()).unwrap());
        found.sort();
        assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_broken_layout_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Layout::open(directory.path()).unwrap_err();
        assert!(matches!(error, LayoutError::NotALayout { .. }));
        let marker = directory.path().join(LAYOUT_FILE);
        fs::write(&marker, "{\"imageLayoutVersion\":\"2.0.0\"}").unwrap();
        let error = Layout::open(directory.path()).unwrap_err();
        assert!(matches!(error, LayoutError::Version { .. }));
        fs::write(&marker, "nonsense").unwrap();
        let error = Layout::open(directory.path()).unwrap_err();
        assert!(matches!(error, LayoutError::Json { .. }));
    }

    #[test]
    fn blobs_that_are_not_what_they_should_be_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let exports = [export(&[b"one"], &["a:1"])];
        let layout = Layout::write(directory.path(), &exports, Others::Forget).unwrap();
        let entry = layout.find("1").unwrap().unwrap();
        let layer = directory.path().join(blob_name(&Digest::of(b"one")));
        fs::write(&layer, "onetwo").unwrap();
        let error = layout.image(&entry).unwrap_err();
        assert!(matches!(
            error,
            LayoutError::Store(StoreError::SizeMismatch { .. })
        ));
        fs::remove_file(&layer).unwrap();
        let error = layout.image(&entry).unwrap_err();
        assert!(matches!(
            error,
            LayoutError::Store(StoreError::Missing { .. })
        ));
        let manifest = directory.path().join(blob_name(&entry.digest));
        let mut bytes = fs::read(&manifest).unwrap();
        bytes[0] = b' ';
        fs::write(&manifest, bytes).unwrap();
        let error = layout.read(&entry).unwrap_err();
        assert!(matches!(
            error,
            LayoutError::Store(StoreError::DigestMismatch { .. })
        ));
        assert!(layout.blob(&descriptor(b"absent")).is_err());
    }
}
