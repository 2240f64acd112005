//! The blobs of an export: each once, in digest order, checked while they are read.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use sha2::{Digest as _, Sha256};
use yadokari_image::Digest;

use crate::entries::{Content, Export};
use crate::error::StoreError;
use crate::image_blobs::LayerBlob;
use crate::writer::digest_from;

/// Why an export could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output failed, or a blob's bytes are not what its descriptor says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Writing to the output stream failed.
    #[error("cannot write the archive")]
    Output(#[source] io::Error),
    /// A layer could not be read, or its bytes are not what its descriptor says.
    #[error("cannot copy blob {digest} into the archive")]
    Blob {
        /// The blob that was being copied.
        digest: Digest,
        /// The source's or the output's words.
        source: io::Error,
    },
    /// A docker archive holds images of one platform only.
    #[error("a docker archive cannot hold an image of several platforms; an OCI archive can")]
    SeveralPlatforms,
}

/// Bytes of one blob of an export.
#[derive(Debug)]
pub(crate) enum BlobSource<'a> {
    Bytes(&'a [u8]),
    Layer(&'a LayerBlob),
}

impl<'a> BlobSource<'a> {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Layer(layer) => layer.descriptor().size,
        }
    }

    /// Opens the blob; the reader fails at the end if the bytes were other than promised.
    pub(crate) fn open(&self, digest: Digest) -> io::Result<Checked<'a>> {
        let inner: Box<dyn Read + 'a> = match self {
            Self::Bytes(bytes) => Box::new(Cursor::new(*bytes)),
            Self::Layer(layer) => layer.open()?,
        };
        Ok(Checked {
            inner,
            hasher: Sha256::new(),
            left: self.size(),
            digest,
        })
    }
}

/// Every blob of the exports; layers that are shared come once.
pub(crate) fn blobs(exports: &[Export]) -> BTreeMap<Digest, BlobSource<'_>> {
    let mut found = BTreeMap::new();
    for export in exports {
        if let Content::Index { bytes, .. } = &export.content {
            found.insert(Digest::of(bytes), BlobSource::Bytes(bytes));
        }
        for image in export.images() {
            found.insert(
                image.descriptor().digest,
                BlobSource::Bytes(image.manifest()),
            );
            found.insert(
                image.config_descriptor().digest,
                BlobSource::Bytes(image.config()),
            );
            for layer in image.layers() {
                found.insert(layer.descriptor().digest, BlobSource::Layer(layer));
            }
        }
    }
    found
}

/// A reader that gives exactly the promised bytes, or an error.
pub(crate) struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Sha256,
    left: u64,
    digest: Digest,
}

impl Checked<'_> {
    fn at_end(&mut self) -> io::Result<usize> {
        let found = digest_from(self.hasher.clone());
        if self.left > 0 || found != self.digest {
            let (left, digest) = (self.left, self.digest);
            let text = format!("expected {digest}, got {found} with {left} bytes missing");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(0)
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return self.at_end();
        }
        let Some(left) = self.left.checked_sub(count as u64) else {
            let text = format!("{} is longer than its descriptor says", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        self.left = left;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{descriptor, export};

    #[test]
    fn a_layer_in_two_images_is_one_blob() {
        let exports = [export(&[b"base", b"a"], &[]), export(&[b"base", b"b"], &[])];
        assert_eq!(blobs(&exports).len(), 2 * 2 + 3);
    }

    #[test]
    fn a_layer_that_gives_other_bytes_is_an_error() {
        for bytes in [b"layer".as_slice(), b"lawyer", b"laye", b"later", b""] {
            let given = bytes.to_vec();
            let open = move || Ok(Box::new(Cursor::new(given.clone())) as Box<dyn Read + Send>);
            let layer = LayerBlob::new(descriptor(b"layer"), open);
            let source = BlobSource::Layer(&layer);
            let mut reader = source.open(layer.descriptor().digest).unwrap();
            let result = io::copy(&mut reader, &mut io::sink());
            assert_eq!(result.is_ok(), bytes == b"layer", "{bytes:?}");
        }
    }
}
