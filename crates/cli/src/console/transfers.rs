//! What is downloaded and uploaded: told in lines now and then, and counted for the screen and the summary.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::style;

/// All transfers that are under way, and the sums of those that were.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    running: BTreeMap<u64, Transfer>,
    /// Bytes that came from elsewhere.
    pub(super) downloaded: u64,
    /// Bytes that were sent elsewhere.
    pub(super) uploaded: u64,
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// `pulling debian:bookworm 0123456789ab`.
    pub(super) label: String,
    /// Bytes expected; 0 when nobody knows.
    pub(super) total: u64,
    /// Bytes so far.
    pub(super) done: u64,
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
                done: 0,
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
        transfer.done = done;
        if now.duration_since(transfer.told) < INTERVAL {
            return None;
        }
        transfer.told = now;
        let percent = done.saturating_mul(100).checked_div(transfer.total);
        let percent = percent
            .map(|percent| format!("{percent}%, "))
            .unwrap_or_default();
        Some(format!(
            "{}: {percent}{} at {}/s",
            transfer.label,
            style::bytes(done),
            style::bytes(transfer.rate(now)),
        ))
    }

    pub(super) fn finish(&mut self, id: u64, now: Instant) -> Option<String> {
        let transfer = self.running.remove(&id)?;
        // What ends has its bytes, or had none to move.
        let moved = transfer.total.max(transfer.done);
        if transfer.is_upload() {
            self.uploaded += moved;
        } else {
            self.downloaded += moved;
        }
        let took = now.duration_since(transfer.started);
        (took >= INTERVAL).then(|| format!("{}: done in {}", transfer.label, style::duration(took)))
    }

    /// Those that go on, the oldest first.
    pub(super) fn running(&self) -> impl ExactSizeIterator<Item = &Transfer> {
        self.running.values()
    }
}

impl Transfer {
    /// Whether bytes leave this machine.
    pub(super) fn is_upload(&self) -> bool {
        self.label.starts_with("pushing")
    }

    /// What moves, without the word for the direction.
    pub(super) fn subject(&self) -> &str {
        self.label
            .split_once(' ')
            .map_or(self.label.as_str(), |(_, rest)| rest)
    }

    /// Bytes a second since it started.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        let millis = now.duration_since(self.started).as_millis().max(1);
        u64::try_from(u128::from(self.done) * 1000 / millis).unwrap_or(u64::MAX)
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
        assert_eq!((transfers.downloaded, transfers.uploaded), (4_000_000, 0));
    }

    #[test]
    fn a_short_transfer_is_one_line() {
        let start = Instant::now();
        let mut transfers = Transfers::default();
        assert_eq!(transfers.start(1, "pushing a", 0, start), "pushing a");
        transfers.progress(1, 7, start);
        assert_eq!(transfers.finish(1, start + Duration::from_secs(1)), None);
        assert_eq!((transfers.downloaded, transfers.uploaded), (0, 7));
    }
}
