//! Reads image archives: OCI layouts in a tar, and what `docker save` writes.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tar::{Archive, Entry, EntryType};
use yadokari_image::media_type::Family;
use yadokari_image::{Descriptor, Digest, Index, Manifest, Reference, json, media_type};

use crate::entries::{ArchiveItem, Content, Export};
use crate::error::{At, StoreError};
use crate::image_blobs::{ImageBlobs, InvalidImage, LayerBlob};
use crate::layout::{DOCUMENT_LIMIT, LayoutError, parse};
use crate::spool::{Blob, Spool};

/// Why an image archive could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file is not a tar archive, or ends too early.
    #[error("cannot read archive {}", path.display())]
    Read {
        /// The archive.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The archive lists no image, or several where one is meant.
    #[error("archive {} holds {count} images instead of one", path.display())]
    NotOneImage {
        /// The archive.
        path: PathBuf,
        /// How many it lists.
        count: usize,
    },
    /// The archive's list names a member that is not there.
    #[error("archive {} has no member {name}", path.display())]
    MemberMissing {
        /// The archive.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// An image index lists another one.
    #[error("archive {} nests image indexes", path.display())]
    NestedIndex {
        /// The archive.
        path: PathBuf,
    },
    /// A document in the archive cannot be read.
    #[error(transparent)]
    Document(#[from] LayoutError),
    /// Manifest, config and layers do not fit together.
    #[error("the image in {} is not valid", path.display())]
    Image {
        /// The archive.
        path: PathBuf,
        /// What does not fit.
        source: InvalidImage,
    },
    /// The members could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the one image (or image index) of an archive; its blobs go into the spool.
///
/// An archive with `index.json` is read as an OCI layout. One with only `manifest.json`
/// is what `docker save` made: its layers are as they lie there, and a manifest is made
/// for them. Member names serve to find members only; no file is made under them.
///
/// # Errors
///
/// If it is no such archive, holds other than one image, or a blob is not what its
/// digest says.
pub fn read_archive(path: &Path, spool: &Spool) -> Result<Export, ArchiveError> {
    let members = Members::collect(path, spool)?;
    if let Some(index) = members.find("index.json") {
        return members.layout_image(&parse::<Index>(path, &members.document(index)?)?);
    }
    members.docker_save_image()
}

/// The files of an archive, by their cleaned names.
struct Members<'a> {
    path: &'a Path,
    files: BTreeMap<String, Blob>,
    links: BTreeMap<String, String>,
}

impl<'a> Members<'a> {
    fn collect(path: &'a Path, spool: &Spool) -> Result<Self, ArchiveError> {
        let failed = |source| ArchiveError::Read {
            path: path.to_path_buf(),
            source,
        };
        let file = std::fs::File::open(path).at("open", path)?;
        let mut archive = Archive::new(io::BufReader::with_capacity(256 * 1024, file));
        let mut members = Self {
            path,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        for entry in archive.entries().map_err(failed)? {
            members.take(entry.map_err(failed)?, spool)?;
        }
        Ok(members)
    }

    fn take<R: Read>(
        &mut self,
        mut entry: Entry<'_, R>,
        spool: &Spool,
    ) -> Result<(), ArchiveError> {
        let name = clean("", &String::from_utf8_lossy(&entry.path_bytes()));
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let failed = |source| ArchiveError::Read {
                    path: self.path.to_path_buf(),
                    source,
                };
                let mut writer = spool.writer()?;
                io::copy(&mut entry, &mut writer).map_err(failed)?;
                self.files.insert(name, writer.finish()?);
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                let relative = entry.header().entry_type() == EntryType::Symlink;
                let base = if relative { parent(&name) } else { "" };
                self.links.insert(name.clone(), clean(base, &target));
            }
            _ => {}
        }
        Ok(())
    }

    /// Finds a member, through links; a circle of links finds nothing.
    fn find(&self, name: &str) -> Option<&Blob> {
        let mut name = clean("", name);
        let mut seen = HashSet::new();
        while seen.insert(name.clone()) {
            match self.links.get(&name) {
                Some(target) => name.clone_from(target),
                None => return self.files.get(&name),
            }
        }
        None
    }

    fn require(&self, name: &str) -> Result<&Blob, ArchiveError> {
        self.find(name).ok_or_else(|| ArchiveError::MemberMissing {
            path: self.path.to_path_buf(),
            name: name.to_owned(),
        })
    }

    fn document(&self, blob: &Blob) -> Result<Vec<u8>, ArchiveError> {
        if blob.size > DOCUMENT_LIMIT {
            let (path, size) = (self.path.to_path_buf(), blob.size);
            return Err(LayoutError::TooLarge { path, size }.into());
        }
        Ok(blob.read().at("read", &blob.path)?)
    }

    /// A blob of a layout, which is what its name says.
    fn blob(&self, descriptor: &Descriptor) -> Result<&Blob, ArchiveError> {
        let blob = self.require(&crate::entries::blob_name(&descriptor.digest))?;
        if blob.digest != descriptor.digest {
            let (expected, found) = (descriptor.digest, blob.digest);
            return Err(StoreError::DigestMismatch { expected, found }.into());
        }
        Ok(blob)
    }

    fn layout_image(&self, index: &Index) -> Result<Export, ArchiveError> {
        let entry = self.only(&distinct(&index.manifests))?;
        let bytes = self.document(self.blob(&entry)?)?;
        if !media_type::is_index(&entry.media_type) {
            return Ok(Export::new(Content::Image(self.image(bytes)?)));
        }
        let inner: Index = parse(self.path, &bytes)?;
        let images: Result<Vec<_>, _> =
            inner.manifests.iter().map(|one| self.nested(one)).collect();
        Ok(Export::new(Content::Index {
            bytes,
            media_type: entry.media_type,
            images: images?,
        }))
    }

    fn nested(&self, entry: &Descriptor) -> Result<ImageBlobs, ArchiveError> {
        if media_type::is_index(&entry.media_type) {
            let path = self.path.to_path_buf();
            return Err(ArchiveError::NestedIndex { path });
        }
        self.image(self.document(self.blob(entry)?)?)
    }

    fn image(&self, manifest: Vec<u8>) -> Result<ImageBlobs, ArchiveError> {
        let parsed: Manifest = parse(self.path, &manifest)?;
        let config = self.document(self.blob(&parsed.config)?)?;
        let mut layers = Vec::new();
        for descriptor in parsed.layers.into_iter().flatten() {
            let blob = self.blob(&descriptor)?.clone();
            layers.push(LayerBlob::from_blob(descriptor, blob));
        }
        self.joined(manifest, config, layers)
    }

    fn docker_save_image(&self) -> Result<Export, ArchiveError> {
        let list = self.document(self.require("manifest.json")?)?;
        let item = self.only(&parse::<Vec<ArchiveItem>>(self.path, &list)?)?;
        let config = self.document(self.require(&item.config)?)?;
        let mut layers = Vec::new();
        for name in item.layers.iter().flatten() {
            layers.push(self.found_layer(name)?);
        }
        let manifest = Manifest::new(
            Family::Docker,
            Descriptor::of(media_type::DOCKER_CONFIG, &config),
            layers
                .iter()
                .map(|layer| layer.descriptor().clone())
                .collect(),
        );
        let mut export = Export::new(Content::Image(self.joined(
            json::indented(&manifest),
            config,
            layers,
        )?));
        let tags = item.repo_tags.into_iter().flatten();
        export.names = tags.filter_map(|tag| Reference::parse(&tag).ok()).collect();
        Ok(export)
    }

    /// A layer of `docker save`: its media type is told by its first bytes.
    fn found_layer(&self, name: &str) -> Result<LayerBlob, ArchiveError> {
        let blob = self.require(name)?.clone();
        let mut magic = [0; 4];
        let file = blob.open().at("open", &blob.path)?;
        let mut start = Vec::new();
        file.take(4)
            .read_to_end(&mut start)
            .at("read", &blob.path)?;
        magic[..start.len()].copy_from_slice(&start);
        let media_type = match magic {
            [0x1f, 0x8b, ..] => media_type::DOCKER_LAYER_GZIP,
            [0x28, 0xb5, 0x2f, 0xfd] => media_type::DOCKER_LAYER_ZSTD,
            _ => media_type::DOCKER_LAYER,
        };
        let descriptor = Descriptor::new(media_type, blob.digest, blob.size);
        Ok(LayerBlob::from_blob(descriptor, blob))
    }

    fn joined(
        &self,
        manifest: Vec<u8>,
        config: Vec<u8>,
        layers: Vec<LayerBlob>,
    ) -> Result<ImageBlobs, ArchiveError> {
        ImageBlobs::new(manifest, config, layers).map_err(|source| ArchiveError::Image {
            path: self.path.to_path_buf(),
            source,
        })
    }

    fn only<T: Clone>(&self, found: &[T]) -> Result<T, ArchiveError> {
        match found {
            [one] => Ok(one.clone()),
            _ => Err(ArchiveError::NotOneImage {
                path: self.path.to_path_buf(),
                count: found.len(),
            }),
        }
    }
}

/// One image under two names is listed twice.
fn distinct(entries: &[Descriptor]) -> Vec<Descriptor> {
    let mut seen: HashSet<Digest> = HashSet::new();
    let new = entries.iter().filter(|entry| seen.insert(entry.digest));
    new.cloned().collect()
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Joins and cleans member names; `..` stops at the top.
fn clean(base: &str, name: &str) -> String {
    let base = if name.starts_with('/') { "" } else { base };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Flavour, write_archive_file};
    use crate::testing::{export, image};

    struct Bench {
        directory: tempfile::TempDir,
        spool: Spool,
    }

    impl Bench {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let spool = Spool::open(directory.path().join("spool")).unwrap();
            Self { directory, spool }
        }

        fn read(&self, members: &[(&str, &[u8])]) -> Result<Export, ArchiveError> {
            let path = self.directory.path().join("archive.tar");
            let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
            for (name, bytes) in members {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                match name.strip_suffix('@') {
                    Some(link) => {
                        header.set_size(0);
                        header.set_entry_type(EntryType::Symlink);
                        let target = std::str::from_utf8(bytes).unwrap();
                        tar.append_link(&mut header, link, target).unwrap();
                    }
                    None => tar.append_data(&mut header, name, *bytes).unwrap(),
                }
            }
            tar.finish().unwrap();
            read_archive(&path, &self.spool)
        }
    }

    #[test]
    fn an_archive_written_here_can_be_read_back() {
        let bench = Bench::new();
        for flavour in [Flavour::Oci, Flavour::Docker] {
            let path = bench.directory.path().join("image.tar");
            let written = export(&[b"one", b"two"], &["a:1", "b:2"]);
            write_archive_file(std::slice::from_ref(&written), flavour, &path).unwrap();
            let read = read_archive(&path, &bench.spool).unwrap();
            assert_eq!(read.images()[0].manifest(), written.images()[0].manifest());
        }
    }

    #[test]
    fn what_docker_save_wrote_gets_a_manifest() {
        let bench = Bench::new();
        let list =
            br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["x/layer.tar","y/layer.tar"]}]"#;
        let config = image(&[]).config().to_vec();
        let members: [(&str, &[u8]); 4] = [
            ("manifest.json", list),
            ("c.json", &config),
            ("x/layer.tar", b"\x1f\x8bxx"),
            ("y/layer.tar@", b"../x/layer.tar"),
        ];
        let export = bench.read(&members).unwrap();
        let types: Vec<_> = export.images()[0]
            .layers()
            .iter()
            .map(|layer| layer.descriptor().media_type.as_str())
            .collect();
        assert_eq!(types, [media_type::DOCKER_LAYER_GZIP; 2]);
        assert_eq!(export.names[0].familiar(), "a:1");
    }

    #[test]
    fn archives_that_are_none_are_refused() {
        let bench = Bench::new();
        let missing = br#"[{"Config":"../../etc/passwd","Layers":[]}]"#.as_slice();
        let circle: [(&str, &[u8]); 3] = [
            ("manifest.json@", b"a"),
            ("a@", b"b"),
            ("b@", b"manifest.json"),
        ];
        assert!(matches!(
            bench.read(&[]),
            Err(ArchiveError::MemberMissing { .. })
        ));
        assert!(matches!(
            bench.read(&circle),
            Err(ArchiveError::MemberMissing { .. })
        ));
        let error = bench.read(&[("manifest.json", missing)]).unwrap_err();
        assert!(
            matches!(error, ArchiveError::MemberMissing { .. }),
            "{error}"
        );
        let error = bench.read(&[("manifest.json", b"[]")]).unwrap_err();
        assert!(
            matches!(error, ArchiveError::NotOneImage { count: 0, .. }),
            "{error}"
        );
        let error = bench.read(&[("index.json", b"{")]).unwrap_err();
        assert!(matches!(error, ArchiveError::Document(_)), "{error}");
    }

    #[test]
    fn member_names_are_cleaned() {
        for (base, name, expected) in [
            ("", "./a//b/", "a/b"),
            ("x/y", "../z", "x/z"),
            ("x", "../../../z", "z"),
            ("x", "/z", "z"),
        ] {
            assert_eq!(clean(base, name), expected);
        }
    }
}
