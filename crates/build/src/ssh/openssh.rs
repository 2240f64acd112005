//! Key files as `ssh-keygen` writes them: `openssh-key-v1`, described in OpenSSH's PROTOCOL.key.

use super::KeyError;
use super::wire::Reader;

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The fields of an unprotected key.
#[derive(Debug)]
pub(super) struct OpensshKey<'a> {
    pub(super) kind: String,
    /// The fields behind the kind.
    pub(super) fields: Reader<'a>,
}

/// Opens the file's one private key.
pub(super) fn open(data: &[u8]) -> Result<OpensshKey<'_>, KeyError> {
    let mut outer = Reader::new(data.strip_prefix(MAGIC).ok_or(KeyError::Damaged)?);
    let (cipher, derivation) = (outer.string()?, outer.string()?);
    if cipher != b"none" || derivation != b"none" {
        return Err(KeyError::Encrypted);
    }
    outer.string()?;
    if outer.u32()? != 1 {
        return Err(KeyError::Damaged);
    }
    outer.string()?;
    let mut fields = Reader::new(outer.string()?);
    if fields.u32()? != fields.u32()? {
        return Err(KeyError::Damaged);
    }
    let kind = fields.text()?;
    Ok(OpensshKey { kind, fields })
}
