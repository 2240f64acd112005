//! Signal names of STOPSIGNAL.

const NAMES: [(&str, i64); 36] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("BUS", 7),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("FPE", 8),
    ("HUP", 1),
    ("ILL", 4),
    ("INT", 2),
    ("IO", 29),
    ("IOT", 6),
    ("KILL", 9),
    ("PIPE", 13),
    ("POLL", 29),
    ("PROF", 27),
    ("PWR", 30),
    ("QUIT", 3),
    ("SEGV", 11),
    ("STKFLT", 16),
    ("STOP", 19),
    ("SYS", 31),
    ("TERM", 15),
    ("TRAP", 5),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("USR1", 10),
    ("USR2", 12),
    ("VTALRM", 26),
    ("WINCH", 28),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// A signal nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid signal: {0}")]
pub struct UnknownSignal(pub String);

/// Checks a stop signal and gives its number.
///
/// A number is taken as it is unless it is zero; names may have `SIG` before them, in any case.
///
/// # Errors
///
/// If it is neither.
pub fn parse(text: &str) -> Result<i64, UnknownSignal> {
    let unknown = || UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i64>() {
        return if number == 0 {
            Err(unknown())
        } else {
            Ok(number)
        };
    }
    let upper = text.to_uppercase();
    named(upper.strip_prefix("SIG").unwrap_or(&upper)).ok_or_else(unknown)
}

fn named(name: &str) -> Option<i64> {
    let fixed = NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number);
    fixed.or_else(|| real_time(name))
}

fn real_time(name: &str) -> Option<i64> {
    let above = (1..=15)
        .find(|n| name == format!("RTMIN+{n}"))
        .map(|n| 34 + n);
    above.or_else(|| {
        (1..=14)
            .find(|n| name == format!("RTMAX-{n}"))
            .map(|n| 64 - n)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_known() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("SigRtMin+3", 37),
            ("RTMAX-14", 50),
            ("9", 9),
            ("200", 200),
        ] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        for text in [
            "0",
            "FOO",
            "",
            "SIG",
            "RTMIN+16",
            "RTMAX-15",
            "SIGSIGTERM",
            "1 2",
        ] {
            assert_eq!(
                parse(text).unwrap_err().to_string(),
                format!("invalid signal: {text}")
            );
        }
    }
}
