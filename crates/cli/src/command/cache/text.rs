//! How items of a cache are shown.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::Item;
use crate::amount::{age, bytes, counted};

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

#[cfg(test)]
mod tests {
    use super::*;

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
