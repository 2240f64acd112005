//! As much of DER as a private key in SEC 1 form needs.

use super::KeyError;

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const BITS: u8 = 0x03;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

/// `ECPrivateKey` of RFC 5915.
#[derive(Debug)]
pub(super) struct EcKey<'a> {
    /// The curve's object identifier, encoded.
    pub(super) curve: &'a [u8],
    pub(super) private: &'a [u8],
    /// The public point, uncompressed.
    pub(super) public: &'a [u8],
}

/// Reads an elliptic curve key; one without its curve or public point is no use to an agent.
pub(super) fn ec_key(bytes: &[u8]) -> Result<EcKey<'_>, KeyError> {
    let mut fields = Fields(Fields(bytes).take(SEQUENCE)?);
    fields.take(INTEGER)?;
    let private = fields.take(OCTETS)?;
    let curve = Fields(fields.take(FIRST)?).take(OBJECT)?;
    let point = Fields(fields.take(SECOND)?).take(BITS)?;
    // A bit string begins with the number of bits its last byte lacks.
    let public = point.strip_prefix(&[0]).ok_or(KeyError::Damaged)?;
    Ok(EcKey {
        curve,
        private,
        public,
    })
}

/// Reads the two numbers of an `RSAPublicKey`: modulus and exponent.
pub(super) fn rsa_public_key(bytes: &[u8]) -> Result<(&[u8], &[u8]), KeyError> {
    let mut fields = Fields(Fields(bytes).take(SEQUENCE)?);
    Ok((fields.take(INTEGER)?, fields.take(INTEGER)?))
}

/// Values one after the other, each with its tag and length.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let rest = self.0.strip_prefix(&[tag]).ok_or(KeyError::Damaged)?;
        let (length, rest) = length(rest).ok_or(KeyError::Damaged)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(KeyError::Damaged)?;
        self.0 = rest;
        Ok(value)
    }
}

/// One byte, or a byte that says how many follow.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if first & 0x80 == 0 {
        return Some((usize::from(*first), rest));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.len() > 3 {
        return None;
    }
    let length = length
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some((length, rest))
}
