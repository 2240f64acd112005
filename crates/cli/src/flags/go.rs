//! Values as Go's flag packages read them: booleans, durations, sizes, `key=value`, comma lists.

use std::str::FromStr;
use std::time::Duration;

/// A boolean in any of the spellings that Go takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Self(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Self(false)),
            _ => Err("expected true or false".to_owned()),
        }
    }
}

/// A duration as Go writes it: `336h`, `1h30m`, `1.5s`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration(text)
            .map(Self)
            .ok_or_else(|| "expected a duration such as 336h, 1h30m or 90s".to_owned())
    }
}

fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|&end| end > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        let (seconds, after) = unit(&rest[digits..])?;
        total += number * seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// Seconds of the unit at the start of `text`, and what follows it.
fn unit(text: &str) -> Option<(f64, &str)> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    UNITS
        .iter()
        .find_map(|(name, seconds)| Some((*seconds, text.strip_prefix(name)?)))
}

/// A size in bytes with docker's suffixes (`64m`, `1g`, `512`), powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        size(text)
            .map(Self)
            .ok_or_else(|| "expected a size such as 64m, 1g or 65536".to_owned())
    }
}

fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let number_end = lower
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(lower.len());
    let number: u64 = lower[..number_end].parse().ok()?;
    let shift = match lower[number_end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A `key=value` pair; the value may be empty and may hold further `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Before the first `=`.
    pub key: String,
    /// After it.
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected key=value".to_owned()),
        }
    }
}

/// Splits a line of comma-separated fields, where quotes protect a field's commas and a doubled quote is one.
///
/// # Errors
///
/// A quote that is never closed.
pub fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let field = out
            .last_mut()
            .expect("the list starts with one field and only grows");
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            _ => field.push(c),
        }
    }
    if quoted {
        Err(format!("a quote in `{line}` is never closed"))
    } else {
        Ok(out)
    }
}

/// Splits comma-separated `key=value` fields; a field without `=` has the value `None`.
///
/// # Errors
///
/// A quote that is never closed.
pub fn options(line: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let split = |field: String| match field.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.to_owned())),
        None => (field, None),
    };
    Ok(fields(line)?.into_iter().map(split).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let cases = [
            ("336h", Some(1_209_600.0)),
            ("1h30m", Some(5400.0)),
            ("1.5s", Some(1.5)),
            (".5m", Some(30.0)),
            ("100ms", Some(0.1)),
            ("0", Some(0.0)),
            ("0s", Some(0.0)),
            ("+1m", Some(60.0)),
            ("", None),
            ("5", None),
            ("h", None),
            ("-1h", None),
            ("1d", None),
            ("1.2.3s", None),
            ("1h ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                duration(text),
                expected.map(Duration::from_secs_f64),
                "{text:?}"
            );
        }
    }

    #[test]
    fn switches_take_the_spellings_of_go_and_no_others() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(text.parse(), Ok(Switch(true)), "{text}");
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(text.parse(), Ok(Switch(false)), "{text}");
        }
        for text in ["yes", "on", "", "tRuE", "2"] {
            assert!(text.parse::<Switch>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        let cases = [
            ("512", Some(512)),
            ("64m", Some(64 << 20)),
            ("1G", Some(1 << 30)),
            ("2kb", Some(2048)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("99999999999999t", None),
        ];
        for (text, expected) in cases {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(
            "a=b=c".parse(),
            Ok(KeyValue {
                key: "a".into(),
                value: "b=c".into()
            })
        );
        assert_eq!(
            "a=".parse(),
            Ok(KeyValue {
                key: "a".into(),
                value: String::new()
            })
        );
        assert!("a".parse::<KeyValue>().is_err());
        assert!("=b".parse::<KeyValue>().is_err());
    }

    #[test]
    fn quotes_protect_commas() {
        assert_eq!(
            fields(r#"type=image,"name=a,b",push=true"#).unwrap(),
            ["type=image", "name=a,b", "push=true"]
        );
        assert_eq!(fields(r#""a""b",c"#).unwrap(), [r#"a"b"#, "c"]);
        assert_eq!(fields("").unwrap(), [""]);
        assert!(fields(r#""open"#).is_err());
    }

    #[test]
    fn option_keys_are_lower_case_and_values_optional() {
        let expected = vec![
            ("type".to_owned(), Some("oci".to_owned())),
            ("plain".to_owned(), None),
        ];
        assert_eq!(options("Type=oci,plain").unwrap(), expected);
    }
}
