//! Colours, sizes and durations as text.

use std::time::Duration;

/// Kinds of text that may be coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    Step,
    Good,
    Warning,
    Error,
    Faint,
    Strong,
}

/// What lines that stay are written on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paper {
    /// It shows colours.
    pub(crate) color: bool,
    /// How many characters a row has, where rows have an end.
    pub(crate) columns: Option<usize>,
}

/// Text in a colour, or plain.
pub(crate) fn paint(color: bool, ink: Ink, text: &str) -> String {
    let code = match ink {
        Ink::Step => "36",
        Ink::Good => "32",
        Ink::Warning => "1;33",
        Ink::Error => "1;31",
        Ink::Faint => "2",
        Ink::Strong => "1",
    };
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// A number of bytes for people, in powers of 1000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count;
    let mut unit = 0;
    while value >= 1_000_000 && unit + 1 < UNITS.len() {
        value /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", value / 1000, value % 1000 / 100, UNITS[unit])
}

/// A duration for people: `0.3s`, `12.0s`, `2m05s`.
pub(crate) fn duration(took: Duration) -> String {
    let tenths = took.as_millis() / 100;
    match tenths / 600 {
        0 => format!("{}.{}s", tenths / 10, tenths % 10),
        minutes => format!("{minutes}m{:02}s", tenths % 600 / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_550_000, "1.5 MB"),
            (48_100_000_000, "48.1 GB"),
        ];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn durations_are_short() {
        let cases = [
            (0, "0.0s"),
            (349, "0.3s"),
            (12_000, "12.0s"),
            (125_400, "2m05s"),
        ];
        for (millis, expected) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }
}
