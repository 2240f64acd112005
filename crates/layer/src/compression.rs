//! How layers are compressed.

use std::ops::RangeInclusive;

use crate::CompressError;

/// A compression and its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// The tar archive as it is.
    None,
    /// One gzip member.
    Gzip {
        /// 1 (fast) to 9 (small).
        level: u32,
    },
    /// One zstd frame.
    Zstd {
        /// 1 (fast) to 22 (small), or negative for even faster.
        level: i32,
    },
}

impl Compression {
    /// gzip at its usual level, 6.
    pub const GZIP: Self = Self::Gzip { level: 6 };
    /// zstd at its usual level, 3.
    pub const ZSTD: Self = Self::Zstd { level: 3 };

    /// Checks the level.
    ///
    /// # Errors
    ///
    /// [`CompressError::Level`] if the compression has no such level.
    pub fn check(self) -> Result<(), CompressError> {
        let (level, levels) = match self {
            Self::None => return Ok(()),
            Self::Gzip { level } => (i64::from(level), GZIP_LEVELS),
            Self::Zstd { level } => (i64::from(level), ZSTD_LEVELS),
        };
        if levels.contains(&level) {
            Ok(())
        } else {
            Err(CompressError::Level { level, levels })
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::GZIP
    }
}

const GZIP_LEVELS: RangeInclusive<i64> = 1..=9;
const ZSTD_LEVELS: RangeInclusive<i64> = -7..=22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_outside_the_range_are_refused() {
        for good in [
            Compression::None,
            Compression::GZIP,
            Compression::ZSTD,
            Compression::Zstd { level: -1 },
        ] {
            assert!(good.check().is_ok(), "{good:?}");
        }
        for bad in [
            Compression::Gzip { level: 0 },
            Compression::Gzip { level: 10 },
            Compression::Zstd { level: 23 },
        ] {
            assert!(
                matches!(bad.check(), Err(CompressError::Level { .. })),
                "{bad:?}"
            );
        }
    }
}
