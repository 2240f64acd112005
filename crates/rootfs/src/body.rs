//! The bytes of a new file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use yadokari_tree::{ContentDigest, TreePath};

use crate::error::{At, UnpackError};

/// Copies a body of known size and hashes it on the way. Long runs of zeros
/// become holes.
pub(crate) fn write_body(
    path: &TreePath,
    size: u64,
    content: &mut dyn Read,
    file: &mut File,
    buffer: &mut [u8],
) -> Result<ContentDigest, UnpackError> {
    let mut hash = Sha256::new();
    let mut body = Body {
        file,
        hole_at_end: false,
    };
    let mut found = 0;
    while found <= size {
        let length = match content.read(buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                let path = path.clone();
                return Err(UnpackError::Content { path, source });
            }
        };
        hash.update(&buffer[..length]);
        body.write(&buffer[..length]).at("write", path)?;
        found += length as u64;
    }
    if found != size {
        return Err(UnpackError::Length {
            path: path.clone(),
            expected: size,
            found,
        });
    }
    body.end(size).at("write", path)?;
    Ok(ContentDigest::from_bytes(hash.finalize().into()))
}

/// The bytes of a new file.
struct Body<'f> {
    file: &'f mut File,
    hole_at_end: bool,
}

impl Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hole_at_end = bytes.len() >= HOLE && bytes.iter().all(|byte| *byte == 0);
        if self.hole_at_end {
            let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            return self.file.seek(SeekFrom::Current(length)).map(drop);
        }
        self.file.write_all(bytes)
    }

    fn end(self, size: u64) -> io::Result<()> {
        if self.hole_at_end {
            self.file.set_len(size)?;
        }
        Ok(())
    }
}

/// Shorter runs of zeros are written: a hole costs a call as well.
const HOLE: usize = 32 * 1024;
