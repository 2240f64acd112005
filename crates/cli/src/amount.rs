//! Numbers as people read them: counts, sizes, ages.

use std::time::SystemTime;

/// A number with its noun.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A size as people read it.
pub(crate) fn bytes(size: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, factor) in UNITS {
        if size >= factor {
            let tenths = size / (factor / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{size} B")
}

/// How long ago something was, in its largest unit.
pub(crate) fn age(made: Option<SystemTime>, now: SystemTime) -> String {
    let Some(made) = made else {
        return "-".to_owned();
    };
    let seconds = now.duration_since(made).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1500), "1.5 kB");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(bytes(5_000_000_000), "5.0 GB");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000);
        let old = |seconds| age(Some(now - Duration::from_secs(seconds)), now);
        assert_eq!(
            [old(5), old(90), old(7200), old(259_200)],
            ["5s", "1m", "2h", "3d"]
        );
        assert_eq!(age(None, now), "-");
        assert_eq!(age(Some(now + Duration::from_secs(9)), now), "0s");
    }
}
