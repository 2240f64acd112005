//! The data types of ssh (RFC 4251, section 5): numbers and strings with their lengths.

use super::KeyError;

/// Reads values off the front of some bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], KeyError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(KeyError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, KeyError> {
        let (number, rest) = self.0.split_first_chunk().ok_or(KeyError::Damaged)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    /// Bytes with their length before them.
    pub(super) fn string(&mut self) -> Result<&'a [u8], KeyError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| KeyError::Damaged)?)
    }

    /// A non-negative number of any size, big endian, without leading zeros.
    pub(super) fn number(&mut self) -> Result<&'a [u8], KeyError> {
        Ok(without_zeros(self.string()?))
    }

    pub(super) fn text(&mut self) -> Result<String, KeyError> {
        Ok(String::from_utf8_lossy(self.string()?).into_owned())
    }
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub(super) fn u32(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let length =
            u32::try_from(bytes.len()).expect("keys and messages are bounded far below 4 GiB");
        let mut written = self.u32(length);
        written.0.extend(bytes);
        written
    }

    /// A non-negative number: a zero goes before a first byte that would make it negative.
    pub(super) fn number(self, bytes: &[u8]) -> Self {
        let bytes = without_zeros(bytes);
        let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
        let mut number = vec![0; usize::from(is_negative)];
        number.extend(bytes);
        self.string(number)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A big-endian number without the zeros before it.
pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
