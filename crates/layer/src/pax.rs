//! Extended header records: `LENGTH KEY=VALUE\n`.

use std::collections::BTreeMap;

use yadokari_tree::Timestamp;

pub(crate) const PATH: &str = "path";
pub(crate) const LINKPATH: &str = "linkpath";
pub(crate) const SIZE: &str = "size";
pub(crate) const UID: &str = "uid";
pub(crate) const GID: &str = "gid";
pub(crate) const MTIME: &str = "mtime";
pub(crate) const XATTR: &str = "SCHILY.xattr.";

/// Records by key, in the order in which they are written.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Appends one record; its length counts its own digits.
pub(crate) fn put_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + " =\n".len();
    let guess = rest + digits(rest);
    let length = if rest + digits(guess) == guess {
        guess
    } else {
        guess + 1
    };
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

/// Reads all records; later ones replace earlier ones of the same key. `None`
/// if the bytes are no sequence of records.
pub(crate) fn parse(mut bytes: &[u8]) -> Option<Records> {
    let mut records = Records::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
        let length = decimal(&bytes[..blank])?;
        let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .filter(|at| *at > 0)?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        bytes = &bytes[length..];
    }
    Some(records)
}

/// Reads seconds with an optional sign and fraction; digits below a
/// nanosecond are cut off.
pub(crate) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    if !whole.starts_with('-') || nanos == 0 {
        return Some(Timestamp::new(seconds, nanos));
    }
    // The fraction of a negative time counts downwards.
    Some(Timestamp::new(
        seconds.checked_sub(1)?,
        1_000_000_000 - nanos,
    ))
}

/// Reads a plain decimal number.
pub(crate) fn decimal<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    let digits = std::str::from_utf8(text).ok()?;
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves() {
        for value in [
            1, 86, 87, 88, 89, 90, 91, 984, 985, 986, 987, 988, 989, 990, 9_988,
        ] {
            let value = vec![b'v'; value];
            let mut bytes = Vec::new();
            put_record(&mut bytes, b"path", &value);
            let length: usize = decimal(bytes.split(|byte| *byte == b' ').next().unwrap()).unwrap();
            assert_eq!(length, bytes.len());
            assert_eq!(parse(&bytes), Some([(b"path".to_vec(), value)].into()));
        }
    }

    #[test]
    fn broken_records_are_refused() {
        for bytes in [
            &b"x"[..],
            b"5 a=b",
            b"6 a=b\nx",
            b"99 a=b\n",
            b"0 a=b\n",
            b"3 \n",
            b"5 =b\n",
            b"-6 a=b\n",
            b" 6 a=b\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"6 ab \n",
        ] {
            assert_eq!(parse(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn values_may_hold_anything() {
        let mut bytes = Vec::new();
        put_record(&mut bytes, b"SCHILY.xattr.user.x", b"=\n\0 7 a=b\n");
        assert_eq!(
            parse(&bytes).unwrap()[&b"SCHILY.xattr.user.x"[..]],
            b"=\n\0 7 a=b\n"
        );
    }

    #[test]
    fn times_have_signs_and_fractions() {
        for (text, want) in [
            ("0", Some((0, 0))),
            ("1500000000.5", Some((1_500_000_000, 500_000_000))),
            ("12.0000000019", Some((12, 1))),
            ("-5", Some((-5, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("1.", Some((1, 0))),
            ("1.x", None),
            ("", None),
            ("1e5", None),
        ] {
            let want = want.map(|(seconds, nanos)| Timestamp::new(seconds, nanos));
            assert_eq!(parse_time(text.as_bytes()), want, "{text}");
        }
    }
}
