//! Times as images and archives write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use yadokari_tree::Timestamp;

/// Tells the time; passed in, so that a build is a function of its inputs.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;
}

/// Writes seconds and nanoseconds since 1970 as RFC 3339 in UTC, without trailing zeros in the fraction.
pub(crate) fn rfc3339(seconds: i64, nanos: u32) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if nanos > 0 {
        let fraction = format!("{nanos:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from 1 March of year 0, so that the leap day is a year's last day.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A point in time as RFC 3339.
pub(crate) fn format(time: SystemTime) -> String {
    let time = timestamp(time);
    rfc3339(time.seconds, time.nanos)
}

/// A point in time as trees hold it.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp {
            seconds: since.as_secs().cast_signed(),
            nanos: since.subsec_nanos(),
        },
        Err(before) => {
            let before: Duration = before.duration();
            let whole = before.as_secs().cast_signed() + i64::from(before.subsec_nanos() > 0);
            let nanos = if before.subsec_nanos() > 0 {
                1_000_000_000 - before.subsec_nanos()
            } else {
                0
            };
            Timestamp {
                seconds: -whole,
                nanos,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_500_000_123, 0, "2017-07-14T02:42:03Z"),
            (4_102_444_800, 0, "2100-01-01T00:00:00Z"),
            (951_782_400, 120_000_000, "2000-02-29T00:00:00.12Z"),
            (-1, 1, "1969-12-31T23:59:59.000000001Z"),
        ] {
            assert_eq!(rfc3339(seconds, nanos), text);
        }
    }
}
