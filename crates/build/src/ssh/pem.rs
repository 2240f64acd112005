//! PEM: base64 between two lines that say what it is (RFC 7468, and the headers of RFC 1421).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::KeyError;

/// The first private key of a file.
pub(super) struct Block {
    /// What stands before `PRIVATE KEY-----`, as `RSA ` or nothing.
    pub(super) kind: String,
    pub(super) data: Vec<u8>,
}

/// Finds and decodes the first private key of a file.
pub(super) fn private_key(file: &[u8]) -> Result<Block, KeyError> {
    let text = String::from_utf8_lossy(file);
    let mut lines = text.lines().map(str::trim);
    let kind = lines.by_ref().find_map(begin).ok_or(KeyError::NoKey)?;
    let mut encoded = String::new();
    for line in lines {
        if line.starts_with("-----END ") {
            let data = STANDARD.decode(encoded).map_err(|_| KeyError::Damaged)?;
            return Ok(Block { kind, data });
        }
        match line.split_once(':') {
            Some(("Proc-Type", value)) if value.contains("ENCRYPTED") => {
                return Err(KeyError::Encrypted);
            }
            Some(_) => {}
            None => encoded.push_str(line),
        }
    }
    Err(KeyError::Damaged)
}

fn begin(line: &str) -> Option<String> {
    let kind = line.strip_prefix("-----BEGIN ")?;
    Some(kind.strip_suffix("PRIVATE KEY-----")?.trim_end().to_owned())
}
