//! A point in time as messages show it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds and milliseconds since 1970; prints as `2026-03-01T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(SystemTime);

impl Default for Moment {
    fn default() -> Self {
        Self(UNIX_EPOCH)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(time)
    }
}

impl Moment {
    /// Whole seconds since 1970; 0 before.
    pub(super) fn seconds(self) -> u64 {
        self.0
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(self.0).fmt(f)
    }
}
