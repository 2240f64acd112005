//! Durations in Go's notation, `1h2m3.5s`.

use crate::value::quote::quoted;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// The text is not a duration at all, or one that does not fit.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number has no unit.
    #[error("time: missing unit in duration {}", quoted(.0))]
    UnitMissing(String),
    /// A unit is not known.
    #[error("time: unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    UnitUnknown {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a duration and gives it in nanoseconds; it may be negative.
///
/// ```
/// # use yadokari_dockerfile::value::duration;
/// assert_eq!(duration::parse("1m30s"), Ok(90_000_000_000));
/// assert_eq!(duration::parse("-1.5ms"), Ok(-1_500_000));
/// ```
///
/// # Errors
///
/// With Go's wording when the text is no duration.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (part, tail) = parse_part(text, rest)?;
        total += part;
        if total > 1 << 63 {
            return Err(invalid());
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

fn parse_part<'a>(text: &str, rest: &'a str) -> Result<(i128, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (whole, rest) = split_digits(rest);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    if unit.is_empty() {
        return Err(DurationError::UnitMissing(text.to_owned()));
    }
    let scale = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, scale)| *scale);
    let scale = scale.ok_or_else(|| DurationError::UnitUnknown {
        unit: unit.to_owned(),
        text: text.to_owned(),
    })?;
    let nanos = whole_part(whole, scale).ok_or_else(invalid)? + fraction_part(fraction, scale);
    if nanos > 1 << 63 {
        return Err(invalid());
    }
    Ok((nanos, rest))
}

fn whole_part(digits: &str, scale: i128) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    let number: u64 = digits.parse().ok()?;
    i128::from(number).checked_mul(scale)
}

fn fraction_part(digits: &str, scale: i128) -> i128 {
    // Eighteen digits are more than a nanosecond of any unit.
    let digits = &digits[..digits.len().min(18)];
    let number: i128 = digits.parse().unwrap_or(0);
    number * scale / 10_i128.pow(u32::try_from(digits.len()).expect("at most 18 digits"))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// Prints nanoseconds as Go prints a duration.
///
/// ```
/// # use yadokari_dockerfile::value::duration;
/// assert_eq!(duration::format(90_000_000_000), "1m30s");
/// assert_eq!(duration::format(0), "0s");
/// ```
pub fn format(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let small = [
        (1, 1_000, "ns"),
        (1_000, 1_000_000, "µs"),
        (1_000_000, 1_000_000_000, "ms"),
    ];
    if let Some((scale, _, unit)) = small.into_iter().find(|(_, limit, _)| nanos < *limit) {
        return format!("{sign}{}{unit}", decimal(nanos, scale));
    }
    let (minutes, seconds) = (
        nanos / 60_000_000_000,
        decimal(nanos % 60_000_000_000, 1_000_000_000),
    );
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(value: u64, scale: u64) -> String {
    let digits = scale.ilog10() as usize;
    if value.is_multiple_of(scale) {
        return (value / scale).to_string();
    }
    let fraction = format!("{:0digits$}", value % scale);
    format!("{}.{}", value / scale, fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("5s", 5_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("3µs", 3_000),
            ("-1ns", -1),
        ] {
            assert_eq!(parse(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn bad_durations_have_gos_messages() {
        for (text, message) in [
            ("5", "time: missing unit in duration \"5\""),
            ("", "time: invalid duration \"\""),
            ("-", "time: invalid duration \"-\""),
            ("s", "time: invalid duration \"s\""),
            (".s", "time: invalid duration \".s\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("99999999999h", "time: invalid duration \"99999999999h\""),
            (
                "9223372036854775808ns",
                "time: invalid duration \"9223372036854775808ns\"",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        assert_eq!(parse("-9223372036854775808ns"), Ok(i64::MIN));
    }

    #[test]
    fn durations_are_printed() {
        for (nanos, text) in [
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(format(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(nanos: i64) {
            prop_assert_eq!(parse(&format(nanos)), Ok(nanos));
        }

        #[test]
        fn reading_never_panics(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
