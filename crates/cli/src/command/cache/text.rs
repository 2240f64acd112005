//! How items of a cache are shown.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::Item;

/// A line for each item and one for all.
pub(super) fn table(items: &[Item], now: SystemTime) -> String {
    let mut text = format!(
        "{:<8}  {:<12}  {:>9}  {:>8}  WHAT\n",
        "KIND", "NAME", "SIZE", "AGE"
    );
    for item in items {
        let scope = item
            .scope
            .as_ref()
            .map(|scope| format!("[{scope}] "))
            .unwrap_or_default();
        let line = format!(
            "{:<8}  {:<12}  {:>9}  {:>8}  {scope}{}",
            item.kind,
            item.name,
            bytes(item.size),
            age(item.made, now),
            item.about
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let total = items.iter().map(|item| item.size).sum();
    let _ = writeln!(
        text,
        "{}, {}",
        counted(items.len(), "entry", "entries"),
        bytes(total)
    );
    text
}

/// An item for machines.
pub(super) fn as_json(item: &Item) -> Value {
    let made = item
        .made
        .map(|made| humantime::format_rfc3339_seconds(made).to_string());
    json!({
        "kind": item.kind,
        "name": item.name,
        "what": item.about,
        "scope": item.scope,
        "bytes": item.size,
        "made": made,
    })
}

/// A number with its noun.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A size as people read it.
pub(super) fn bytes(size: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    for (unit, factor) in UNITS {
        if size >= factor {
            let tenths = size / (factor / 10);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{size} B")
}

fn age(made: Option<SystemTime>, now: SystemTime) -> String {
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

    #[test]
    fn a_table_ends_with_a_sum() {
        let item = Item {
            kind: "layer",
            name: "0123456789ab".to_owned(),
            about: "RUN make".to_owned(),
            scope: Some("main".to_owned()),
            size: 1500,
            made: None,
        };
        let text = table(&[item.clone(), item], SystemTime::UNIX_EPOCH);
        assert!(
            text.contains("1.5 kB         -  [main] RUN make\n"),
            "{text}"
        );
        assert!(text.ends_with("2 entries, 3.0 kB\n"), "{text}");
    }
}
