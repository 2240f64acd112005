//! How layers are compressed, from kaniko's flags or an output's options.

use yadokari_layer::Compression;

use super::UsageError;

/// Joins a codec and a level; a level that is not above 0 is none.
///
/// # Errors
///
/// A codec that layers cannot have, or a level it does not have.
pub(super) fn compression(
    flag: &'static str,
    codec: Option<&str>,
    level: Option<i32>,
) -> Result<Compression, UsageError> {
    let level = level.filter(|level| *level > 0);
    match codec {
        None | Some("" | "gzip") => gzip(flag, level),
        Some("zstd") => zstd(flag, level),
        Some("uncompressed" | "none") => Ok(Compression::None),
        Some(other) => Err(UsageError::value(
            flag,
            Some(other),
            "expected gzip, zstd or uncompressed",
        )),
    }
}

fn gzip(flag: &'static str, level: Option<i32>) -> Result<Compression, UsageError> {
    match level.map(u32::try_from) {
        None => Ok(Compression::GZIP),
        Some(Ok(level @ 1..=9)) => Ok(Compression::Gzip { level }),
        _ => {
            let level = level.map(|level| format!("level {level}"));
            Err(UsageError::value(
                flag,
                level.as_deref(),
                "gzip has the levels 1 to 9",
            ))
        }
    }
}

fn zstd(flag: &'static str, level: Option<i32>) -> Result<Compression, UsageError> {
    match level {
        None => Ok(Compression::ZSTD),
        Some(level @ 1..=22) => Ok(Compression::Zstd { level }),
        Some(level) => Err(UsageError::value(
            flag,
            Some(&format!("level {level}")),
            "zstd has the levels 1 to 22",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_counts_only_above_zero() {
        let cases = [
            (None, None, Compression::GZIP),
            (Some("gzip"), Some(-1), Compression::GZIP),
            (Some("gzip"), Some(9), Compression::Gzip { level: 9 }),
            (Some("zstd"), Some(0), Compression::ZSTD),
            (Some("zstd"), Some(19), Compression::Zstd { level: 19 }),
            (Some("uncompressed"), None, Compression::None),
        ];
        for (codec, level, expected) in cases {
            assert_eq!(compression("compression", codec, level).unwrap(), expected);
        }
        for (codec, level) in [("gzip", 10), ("zstd", 23), ("estargz", 1)] {
            assert!(
                compression("compression", Some(codec), Some(level)).is_err(),
                "{codec} {level}"
            );
        }
    }
}
