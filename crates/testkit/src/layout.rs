//! OCI image layout directories, written and read without the product's code.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::digest::{self, Hashing};

/// A directory in the [OCI image layout](https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
#[derive(Debug, Clone)]
pub struct Layout {
    directory: PathBuf,
}

/// A layer that was added to a layout.
#[derive(Debug, Clone)]
pub struct AddedLayer {
    /// The layer's descriptor, for the manifest.
    pub descriptor: Value,
    /// The digest of the uncompressed archive, for the configuration.
    pub diff_id: String,
}

/// An image of a layout: its manifest and configuration as they were stored, and parsed.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest's descriptor in the index.
    pub descriptor: Value,
    /// The manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// The manifest, parsed.
    pub manifest: Value,
    /// The configuration's bytes.
    pub config_bytes: Vec<u8>,
    /// The configuration, parsed.
    pub config: Value,
}

impl Layout {
    /// Makes an empty layout in a directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn create(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory.join("blobs/sha256"))
            .with_context(|| format!("cannot make a layout in {}", directory.display()))?;
        let layout = Self {
            directory: directory.to_path_buf(),
        };
        layout.write("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        layout.write("index.json", &json!({"schemaVersion": 2, "manifests": []}))?;
        Ok(layout)
    }

    /// Opens a layout.
    ///
    /// # Errors
    ///
    /// If the directory has no `oci-layout` file of version 1.0.0.
    pub fn open(directory: &Path) -> Result<Self> {
        let layout = Self {
            directory: directory.to_path_buf(),
        };
        let version = layout.read("oci-layout")?;
        ensure!(
            version["imageLayoutVersion"] == "1.0.0",
            "{}: {version}",
            directory.display()
        );
        Ok(layout)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that holds a blob.
    #[must_use]
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.directory.join("blobs").join(digest.replace(':', "/"))
    }

    /// Reads a whole blob and checks its digest.
    ///
    /// # Errors
    ///
    /// If it is missing or its bytes are not those of the digest.
    pub fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let found = digest::of(&bytes);
        ensure!(found == digest, "{} has the digest {found}", path.display());
        Ok(bytes)
    }

    /// Adds a small blob and returns its descriptor.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest::of(bytes);
        let path = self.blob_path(&digest);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(json!({"mediaType": media_type, "digest": digest, "size": bytes.len()}))
    }

    /// Compresses a tar archive with gzip and adds it as a layer.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read or the layer not written.
    pub fn add_layer(&self, archive: &mut dyn Read) -> Result<AddedLayer> {
        let unnamed = tempfile::NamedTempFile::new_in(&self.directory)?;
        let compressor = GzEncoder::new(Hashing::new(unnamed), Compression::default());
        let mut writer = Hashing::new(compressor);
        std::io::copy(archive, &mut writer)?;
        let (compressor, diff_id, _) = writer.finish();
        let (file, digest, size) = compressor.finish()?.finish();
        file.persist(self.blob_path(&digest))?;
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        Ok(AddedLayer {
            descriptor: json!({"mediaType": media_type, "digest": digest, "size": size}),
            diff_id,
        })
    }

    /// Writes configuration and manifest of one image, and an index that names it alone.
    ///
    /// `config` is the whole configuration but for `rootfs`, which is made from the layers.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn set_image(&self, tag: &str, mut config: Value, layers: &[AddedLayer]) -> Result<()> {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.add_blob(
            "application/vnd.oci.image.config.v1+json",
            &serde_json::to_vec(&config)?,
        )?;
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let layers: Vec<&Value> = layers.iter().map(|layer| &layer.descriptor).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers});
        let mut descriptor = self.add_blob(manifest_type, &serde_json::to_vec(&manifest)?)?;
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        self.write(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": [descriptor]}),
        )
    }

    /// Writes an index that names one manifest that is already a blob.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn set_manifest(&self, descriptor: &Value) -> Result<()> {
        self.write(
            "index.json",
            &json!({"schemaVersion": 2, "manifests": [descriptor]}),
        )
    }

    /// The index, parsed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn index(&self) -> Result<Value> {
        self.read("index.json")
    }

    /// The only image of the layout.
    ///
    /// # Errors
    ///
    /// If the index names none or several, or if a blob is missing or has the wrong bytes.
    pub fn image(&self) -> Result<Image> {
        let index = self.index()?;
        let manifests = index["manifests"]
            .as_array()
            .context("an index without manifests")?;
        ensure!(
            manifests.len() == 1,
            "the index has {} manifests: {index}",
            manifests.len()
        );
        self.image_of(&manifests[0])
    }

    /// The image that a descriptor names.
    ///
    /// # Errors
    ///
    /// If a blob is missing or has the wrong bytes.
    pub fn image_of(&self, descriptor: &Value) -> Result<Image> {
        let manifest_bytes = self.blob(text(&descriptor["digest"])?)?;
        let manifest: Value = serde_json::from_slice(&manifest_bytes)?;
        let config_bytes = self.blob(text(&manifest["config"]["digest"])?)?;
        let config = serde_json::from_slice(&config_bytes)?;
        Ok(Image {
            descriptor: descriptor.clone(),
            manifest_bytes,
            manifest,
            config_bytes,
            config,
        })
    }

    /// Opens a layer for reading as a tar archive; compression is told by the file's first bytes.
    ///
    /// # Errors
    ///
    /// If the blob is missing, or the `zstd` program that reads such a layer.
    pub fn open_layer(&self, digest: &str) -> Result<Box<dyn Read>> {
        let path = self.blob_path(digest);
        let mut file =
            File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let mut magic = [0; 4];
        let count = file.read(&mut magic)?;
        let whole = std::io::Cursor::new(magic).take(count as u64).chain(file);
        match magic {
            [0x1f, 0x8b, ..] => Ok(Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(
                whole,
            )))),
            [0x28, 0xb5, 0x2f, 0xfd] => zstd(&path),
            _ => Ok(Box::new(whole)),
        }
    }

    fn write(&self, name: &str, value: &Value) -> Result<()> {
        let path = self.directory.join(name);
        std::fs::write(&path, serde_json::to_vec(value)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(&self, name: &str) -> Result<Value> {
        let path = self.directory.join(name);
        let bytes =
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
    }
}

impl Image {
    /// The digests of the manifest's layers, base first.
    #[must_use]
    pub fn layers(&self) -> Vec<String> {
        let layers = self.manifest["layers"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        layers
            .iter()
            .filter_map(|layer| layer["digest"].as_str())
            .map(str::to_string)
            .collect()
    }

    /// The digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> String {
        digest::of(&self.manifest_bytes)
    }
}

/// A JSON value that has to be a string.
pub(crate) fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .with_context(|| format!("not a string: {value}"))
}

fn zstd(path: &Path) -> Result<Box<dyn Read>> {
    let mut command = std::process::Command::new("zstd");
    let output = crate::process::output(command.arg("-dcq").arg(path))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(Box::new(std::io::Cursor::new(output.stdout)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let layer = layout.add_layer(&mut [0; 1024].as_slice()).unwrap();
        layout
            .set_image("tag", json!({"os": "linux"}), std::slice::from_ref(&layer))
            .unwrap();

        let image = Layout::open(directory.path()).unwrap().image().unwrap();
        assert_eq!(image.config["rootfs"]["diff_ids"][0], layer.diff_id);
        let mut bytes = Vec::new();
        layout
            .open_layer(&image.layers()[0])
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap();
        assert_eq!(bytes, [0; 1024]);
    }

    #[test]
    fn a_blob_with_other_bytes_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let descriptor = layout.add_blob("text/plain", b"right").unwrap();
        let digest = descriptor["digest"].as_str().unwrap();
        std::fs::write(layout.blob_path(digest), "wrong").unwrap();
        assert!(layout.blob(digest).is_err());
    }
}
