//! Sizes in bytes with binary suffixes, `64m`.

/// Reads a size as docker does: a decimal number, then an optional `b`, `k`, `m`, `g`, `t` or `p` (any case,
/// with or without `b` or `ib`), each 1024 times the one before. `None` if it is none.
///
/// ```
/// # use yadokari_dockerfile::value::size::parse;
/// assert_eq!(parse("1m"), Some(1 << 20));
/// assert_eq!(parse("1.5 KiB"), Some(1536));
/// assert_eq!(parse("zz"), None);
/// ```
pub fn parse(text: &str) -> Option<i64> {
    let digits = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, suffix) = text.split_at(digits);
    let suffix = suffix.strip_prefix(' ').unwrap_or(suffix);
    if !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let size = number * scale(&suffix.to_ascii_lowercase())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a size beyond i64 is cut, as in the reference"
    )]
    Some(size as i64)
}

fn scale(suffix: &str) -> Option<f64> {
    let power = match suffix.as_bytes().first() {
        None => return Some(1.0),
        Some(b'b') if suffix == "b" => return Some(1.0),
        Some(first) => "kmgtp".bytes().position(|unit| unit == *first)? + 1,
    };
    let known = matches!(&suffix[1..], "" | "b" | "ib");
    known.then(|| 1024_f64.powi(i32::try_from(power).expect("at most 5")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("32", Some(32)),
            ("32b", Some(32)),
            ("32 B", Some(32)),
            ("32k", Some(32 << 10)),
            ("1Gb", Some(1 << 30)),
            ("2TiB", Some(2 << 40)),
            ("1.25p", Some(5 << 48)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("1kx", None),
            ("1  k", None),
            ("1.2.3", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
