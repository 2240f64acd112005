//! Small readers of text that URLs and headers hold.

use yadokari_tree::Timestamp;

/// Replaces `%41` by what it stands for; what is not a valid escape stays.
pub(crate) fn percent_decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| (*byte as char).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (
            bytes[at],
            digit(bytes.get(at + 1)),
            digit(bytes.get(at + 2)),
        ) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Reads the date of an HTTP header: `Wed, 21 Oct 2015 07:28:00 GMT`.
///
/// The two obsolete forms that servers no longer send are not read.
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, clock, "GMT" | "UTC"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let clock: Vec<i64> = clock
        .split(':')
        .map_while(|part| part.parse().ok())
        .collect();
    let [hour @ 0..=23, minute @ 0..=59, second @ 0..=60] = clock[..] else {
        return None;
    };
    let (year, day) = (year.parse().ok()?, day.parse().ok()?);
    if !(1..=31).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp { seconds, nanos: 0 })
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Counts days of the Gregorian calendar, with years that begin in March so that the
/// leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_TO_1970
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_other_percent_signs_stay() {
        for (text, expected) in [
            ("c%20data", "c data"),
            ("%41%", "A%"),
            ("%zz%4", "%zz%4"),
            ("%C3%A9", "é"),
            ("", ""),
        ] {
            assert_eq!(percent_decode(text), expected);
        }
    }

    #[test]
    fn http_dates_are_read() {
        for (text, expected) in [
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799)),
            ("Wed, 21 Foo 2015 07:28:00 GMT", None),
            ("Wed, 21 Oct 2015 27:28:00 GMT", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(http_date(text).map(|time| time.seconds), expected, "{text}");
        }
    }
}
