//! Exports as one tar stream.
//!
//! Both flavours are OCI layouts; a docker archive has a `manifest.json` on top, which is
//! what `docker load` and readers of `docker save` archives look for. Layers keep their
//! compression: every such reader detects it, and a layer need not be unpacked to be
//! written. The stream depends on nothing but the exports.

use std::io::Write;
use std::path::Path;

use tar::{Builder, EntryType, Header};
use yadokari_image::Digest;

use crate::content::{self, BlobSource, ExportError};
use crate::entries::{Export, blob_name, index_json, manifest_json};
use crate::error::At;
use crate::layout::{LAYOUT_FILE, LAYOUT_TEXT};
use crate::scratch::ScratchFile;

/// Which readers an archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// An OCI image layout.
    Oci,
    /// The same with a `manifest.json`, for `docker load`; images of one platform only.
    Docker,
}

/// Writes exports as a tar archive, without holding a layer in memory.
///
/// # Errors
///
/// [`ExportError::SeveralPlatforms`] before anything is written; otherwise what was
/// written so far is of no use.
pub fn write_archive(
    exports: &[Export],
    flavour: Flavour,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let docker = match flavour {
        Flavour::Oci => None,
        Flavour::Docker => Some(manifest_json(exports)?),
    };
    let mut tar = Builder::new(out);
    directory(&mut tar, "blobs/")?;
    directory(&mut tar, "blobs/sha256/")?;
    for (digest, source) in content::blobs(exports) {
        blob(&mut tar, digest, &source)?;
    }
    let entries = exports.iter().flat_map(Export::entries).collect();
    file(&mut tar, "index.json", &index_json(entries))?;
    if let Some(bytes) = docker {
        file(&mut tar, "manifest.json", &bytes)?;
    }
    file(&mut tar, LAYOUT_FILE, LAYOUT_TEXT)?;
    tar.into_inner()
        .and_then(Write::flush)
        .map_err(ExportError::Output)
}

/// As [`write_archive`], to a file that appears when it is complete.
///
/// # Errors
///
/// As [`write_archive`]; a file that was at `path` before is untouched then.
pub fn write_archive_file(
    exports: &[Export],
    flavour: Flavour,
    path: &Path,
) -> Result<(), ExportError> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return write_in_place(exports, flavour, path);
    }
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let mut scratch = ScratchFile::new(parent.unwrap_or(Path::new(".")))?;
    let mut out = std::io::BufWriter::with_capacity(crate::spool::COPY_BUFFER, &mut scratch);
    write_archive(exports, flavour, &mut out)?;
    drop(out);
    scratch.flush().at("write", path)?;
    Ok(scratch.rename_to(path)?)
}

/// A link, a pipe or a device is written to; replacing it would take it from whoever made it.
fn write_in_place(exports: &[Export], flavour: Flavour, path: &Path) -> Result<(), ExportError> {
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).open(path);
    let mut out =
        std::io::BufWriter::with_capacity(crate::spool::COPY_BUFFER, file.at("open", path)?);
    write_archive(exports, flavour, &mut out)?;
    Ok(out.flush().at("write", path)?)
}

type Tar<'a> = Builder<&'a mut dyn Write>;

fn blob(tar: &mut Tar<'_>, digest: Digest, source: &BlobSource<'_>) -> Result<(), ExportError> {
    let failed = |source| ExportError::Blob { digest, source };
    let mut reader = source.open(digest).map_err(failed)?;
    let header = header(&blob_name(&digest), EntryType::Regular, source.size());
    tar.append(&header, &mut reader).map_err(failed)
}

fn file(tar: &mut Tar<'_>, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
    let header = header(name, EntryType::Regular, bytes.len() as u64);
    tar.append(&header, bytes).map_err(ExportError::Output)
}

fn directory(tar: &mut Tar<'_>, name: &str) -> Result<(), ExportError> {
    let header = header(name, EntryType::Directory, 0);
    tar.append(&header, std::io::empty())
        .map_err(ExportError::Output)
}

fn header(name: &str, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header
        .set_path(name)
        .expect("every name here is short, relative and ASCII");
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o444
    });
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::export;

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap();
        let name = |entry: tar::Entry<'_, _>| entry.path().unwrap().display().to_string();
        entries.map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn members_come_in_name_order_and_docker_gets_one_more() {
        for (flavour, last) in [
            (Flavour::Oci, vec!["index.json", "oci-layout"]),
            (
                Flavour::Docker,
                vec!["index.json", "manifest.json", "oci-layout"],
            ),
        ] {
            let mut bytes = Vec::new();
            write_archive(&[export(&[b"one"], &["a:1"])], flavour, &mut bytes).unwrap();
            let found = names(&bytes);
            assert!(found.is_sorted(), "{found:?}");
            assert_eq!(found[found.len() - last.len()..], last);
            assert_eq!(found.len(), 2 + 3 + last.len());
        }
    }

    #[test]
    fn a_link_is_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let (link, target) = (directory.path().join("link"), directory.path().join("file"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let exports = [export(&[b"one"], &["a:1"])];
        write_archive_file(&exports, Flavour::Oci, &link).unwrap();
        let mut expected = Vec::new();
        write_archive(&exports, Flavour::Oci, &mut expected).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), expected);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn equal_exports_give_equal_archives() {
        let write = || {
            let mut bytes = Vec::new();
            let exports = [export(&[b"one", b"two"], &["a:1"])];
            write_archive(&exports, Flavour::Docker, &mut bytes).unwrap();
            bytes
        };
        assert_eq!(write(), write());
    }

    #[test]
    fn a_failed_archive_file_leaves_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image.tar");
        std::fs::write(&path, "old").unwrap();
        let broken = crate::image_blobs::LayerBlob::new(crate::testing::descriptor(b"x"), || {
            Err(std::io::Error::other("gone"))
        });
        let good = crate::testing::image(&[b"x"]);
        let image = crate::image_blobs::ImageBlobs::new(
            good.manifest().to_vec(),
            good.config().to_vec(),
            vec![broken],
        );
        let export = Export::new(crate::entries::Content::Image(image.unwrap()));
        let error = write_archive_file(&[export], Flavour::Docker, &path).unwrap_err();
        assert!(matches!(error, ExportError::Blob { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
