//! Numbers and byte strings, hashed as they pass.

use std::io::{self, BufReader, BufWriter, Read, Write};

use sha2::{Digest, Sha256};

/// Writes values and keeps their digest.
pub(super) struct Encoder<'a> {
    out: BufWriter<&'a mut dyn Write>,
    hash: Sha256,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            hash: Sha256::new(),
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }

    /// Seven bits in each byte, the lowest first.
    pub(super) fn number(&mut self, mut number: u64) -> io::Result<()> {
        let mut bytes = [0; MOST];
        let mut length = 0;
        while number >= 0x80 {
            bytes[length] = number as u8 | 0x80;
            number >>= 7;
            length += 1;
        }
        bytes[length] = number as u8;
        self.raw(&bytes[..=length])
    }

    /// Small numbers of either sign stay short.
    pub(super) fn signed(&mut self, number: i64) -> io::Result<()> {
        self.number(((number << 1) ^ (number >> 63)).cast_unsigned())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.number(bytes.len() as u64)?;
        self.raw(bytes)
    }

    /// Ends with the digest of everything.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let digest = self.hash.finalize();
        self.out.write_all(&digest)?;
        self.out.flush()
    }
}

/// Reads what an [`Encoder`] wrote.
pub(super) struct Decoder<'a> {
    input: BufReader<&'a mut dyn Read>,
    hash: Sha256,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a mut dyn Read) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            hash: Sha256::new(),
        }
    }

    pub(super) fn raw<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for at in 0..MOST {
            let [byte] = self.raw()?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(invalid("a number is too long"))
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> io::Result<T> {
        T::try_from(self.number()?).map_err(|_| invalid("a number is too large"))
    }

    pub(super) fn signed(&mut self) -> io::Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length: usize = self.small()?;
        if length > LONGEST {
            return Err(invalid("a string is too long"));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    /// Checks that the digest comes now, and nothing after it.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let digest = self.hash.finalize();
        let mut rest = Vec::new();
        let limit = digest.len() as u64 + 1;
        self.input.by_ref().take(limit).read_to_end(&mut rest)?;
        if rest == digest.as_slice() {
            Ok(())
        } else {
            Err(invalid("the checksum does not match"))
        }
    }
}

/// What the bytes hold is no snapshot.
pub(super) fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

const BUFFER: usize = 256 * 1024;
/// Bytes of the longest number.
const MOST: usize = 10;
/// No name, link or attribute of Linux is longer.
const LONGEST: usize = 1 << 20;
