//! Transfers told in lines: when a big one starts, now and then while it goes on, and when it took long.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::style;

/// All transfers that are under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    running: HashMap<u64, Transfer>,
}

#[derive(Debug)]
struct Transfer {
    label: String,
    total: u64,
    started: Instant,
    told: Instant,
}

/// The time between two lines about one transfer.
const INTERVAL: Duration = Duration::from_secs(10);

impl Transfers {
    pub(super) fn start(&mut self, id: u64, label: &str, total: u64, now: Instant) -> String {
        self.running.insert(
            id,
            Transfer {
                label: label.to_owned(),
                total,
                started: now,
                told: now,
            },
        );
        if total == 0 {
            label.to_owned()
        } else {
            format!("{label} ({})", style::bytes(total))
        }
    }

    pub(super) fn progress(&mut self, id: u64, done: u64, now: Instant) -> Option<String> {
        let transfer = self.running.get_mut(&id)?;
        if now.duration_since(transfer.told) < INTERVAL {
            return None;
        }
        transfer.told = now;
        let percent = done.saturating_mul(100).checked_div(transfer.total);
        let percent = percent
            .map(|percent| format!("{percent}%, "))
            .unwrap_or_default();
        let elapsed = now.duration_since(transfer.started).as_secs().max(1);
        let rate = style::bytes(done / elapsed);
        Some(format!(
            "{}: {percent}{} at {rate}/s",
            transfer.label,
            style::bytes(done)
        ))
    }

    pub(super) fn finish(&mut self, id: u64, now: Instant) -> Option<String> {
        let transfer = self.running.remove(&id)?;
        let took = now.duration_since(transfer.started);
        (took >= INTERVAL).then(|| format!("{}: done in {}", transfer.label, style::duration(took)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_transfer_is_told_every_ten_seconds() {
        let start = Instant::now();
        let mut transfers = Transfers::default();
        assert_eq!(
            transfers.start(1, "pulling a", 4_000_000, start),
            "pulling a (4.0 MB)"
        );
        assert_eq!(
            transfers.progress(1, 1_000_000, start + Duration::from_secs(9)),
            None
        );
        let told = transfers.progress(1, 2_000_000, start + Duration::from_secs(10));
        assert_eq!(
            told.as_deref(),
            Some("pulling a: 50%, 2.0 MB at 200.0 kB/s")
        );
        assert_eq!(
            transfers.progress(1, 2_100_000, start + Duration::from_secs(11)),
            None
        );
        assert_eq!(
            transfers
                .finish(1, start + Duration::from_secs(20))
                .as_deref(),
            Some("pulling a: done in 20.0s")
        );
        assert_eq!(transfers.finish(1, start), None);
    }

    #[test]
    fn a_short_transfer_is_one_line() {
        let start = Instant::now();
        let mut transfers = Transfers::default();
        assert_eq!(transfers.start(1, "pulling a", 0, start), "pulling a");
        assert_eq!(transfers.finish(1, start + Duration::from_secs(1)), None);
    }
}
