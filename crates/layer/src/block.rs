//! The 512-byte header block: where its fields are, numbers, checksum.

use std::ops::Range;

/// Unit of a tar archive in bytes.
pub(crate) const BLOCK: usize = 512;

pub(crate) type Block = [u8; BLOCK];

pub(crate) const NAME: Range<usize> = 0..100;
pub(crate) const MODE: Range<usize> = 100..108;
pub(crate) const UID: Range<usize> = 108..116;
pub(crate) const GID: Range<usize> = 116..124;
pub(crate) const SIZE: Range<usize> = 124..136;
pub(crate) const MTIME: Range<usize> = 136..148;
pub(crate) const CHECKSUM: Range<usize> = 148..156;
pub(crate) const TYPE: usize = 156;
pub(crate) const LINK: Range<usize> = 157..257;
pub(crate) const MAGIC: Range<usize> = 257..265;
pub(crate) const MAJOR: Range<usize> = 329..337;
pub(crate) const MINOR: Range<usize> = 337..345;
pub(crate) const PREFIX: Range<usize> = 345..500;
/// The shorter prefix of the `star` format, which is told by its last bytes.
pub(crate) const STAR_PREFIX: Range<usize> = 345..476;
pub(crate) const STAR_TRAILER: Range<usize> = 508..512;

/// Magic and version of POSIX headers.
pub(crate) const USTAR: &[u8; 8] = b"ustar\x0000";

/// Bytes that follow content of this size up to the next block.
pub(crate) fn padding(size: u64) -> usize {
    let tail = (size % BLOCK as u64) as usize;
    if tail == 0 { 0 } else { BLOCK - tail }
}

/// Whether a number fits a field of this many bytes as NUL-terminated octal.
pub(crate) fn fits_octal(field: usize, number: i64) -> bool {
    let bits = (field - 1) * 3;
    number >= 0 && (bits >= 63 || number < 1 << bits)
}

/// Writes octal with leading zeros and a final NUL; 0 if it does not fit.
pub(crate) fn put_octal(field: &mut [u8], number: i64) {
    let number = if fits_octal(field.len(), number) {
        number
    } else {
        0
    };
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
    field[width] = 0;
}

/// Sums the block up and writes the sum, as the last thing done to a header.
pub(crate) fn seal(block: &mut Block) {
    let (unsigned, _) = sums(block);
    put_octal(&mut block[CHECKSUM][..7], unsigned);
    block[CHECKSUM.end - 1] = b' ';
}

/// Whether the recorded sum is that of the block, by either historical way of
/// summing.
pub(crate) fn checksum_matches(block: &Block) -> bool {
    let recorded = number(&block[CHECKSUM]);
    let (unsigned, signed) = sums(block);
    recorded.is_some_and(|sum| sum == unsigned || sum == signed)
}

/// Reads a number: octal with blanks around it, or big-endian base 256 in
/// two's complement if the first bit is set. Empty is 0.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base256(field);
    }
    let digits = trim(field);
    if digits.is_empty() {
        return Some(0);
    }
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// The bytes before the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn base256(field: &[u8]) -> Option<i64> {
    // The second bit is the sign; the first only says that this is base 256.
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let bytes = std::iter::once(first).chain(field[1..].iter().copied());
    let start = if negative { -1_i128 } else { 0 };
    let number = bytes.fold(start, |number, byte| (number << 8) | i128::from(byte));
    i64::try_from(number).ok()
}

fn trim(field: &[u8]) -> &[u8] {
    let is_digit = |byte: &u8| !matches!(byte, b' ' | 0);
    let start = field.iter().position(is_digit).unwrap_or(field.len());
    let end = field
        .iter()
        .rposition(is_digit)
        .map_or(start, |last| last + 1);
    &field[start..end]
}

/// Sums of the bytes taken as unsigned and as signed, the sum itself as blanks.
fn sums(block: &Block) -> (i64, i64) {
    let blank = CHECKSUM.len() as i64 * i64::from(b' ');
    let (mut unsigned, mut signed) = (blank, blank);
    for byte in block[..CHECKSUM.start].iter().chain(&block[CHECKSUM.end..]) {
        unsigned += i64::from(*byte);
        signed += i64::from(*byte as i8);
    }
    (unsigned, signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_tar_writers_write_them() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777", Some(0o77777777)),
            (b"00008\0\0\0", None),
            (b"-000001\0", None),
            (b"6 4\0\0\0\0\0", None),
            (&[0x80, 0, 0, 0, 0, 0, 1, 0], Some(256)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(-1)),
            (
                &[
                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xf0,
                ],
                Some(-16),
            ),
            (
                &[
                    0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                ],
                Some(i64::MAX),
            ),
            (&[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], None),
            (
                &[
                    0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                ],
                None,
            ),
        ] {
            assert_eq!(number(field), want, "{field:x?}");
        }
    }

    #[test]
    fn octal_that_does_not_fit_becomes_zero() {
        let mut field = [b'x'; 8];
        put_octal(&mut field, 0o7777777);
        assert_eq!(&field, b"7777777\0");
        put_octal(&mut field, 0o10000000);
        assert_eq!(&field, b"0000000\0");
        put_octal(&mut field, -1);
        assert_eq!(&field, b"0000000\0");
    }

    #[test]
    fn a_sealed_block_checks_out_and_a_changed_one_does_not() {
        let mut block = [0; BLOCK];
        block[..3].copy_from_slice(b"\xffab");
        seal(&mut block);
        assert!(checksum_matches(&block));
        block[2] = b'c';
        assert!(!checksum_matches(&block));
    }
}
