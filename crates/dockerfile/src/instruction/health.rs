//! HEALTHCHECK.

use crate::error::ParseErrorKind;
use crate::flags::FlagKind::Text;
use crate::flags::{Flags, KnownFlag};
use crate::node::{Arguments, Failure, Node};
use crate::value::duration;
use crate::value::quote::plain_list;

const TIMES: [&str; 4] = ["interval", "timeout", "start-period", "start-interval"];

pub(super) const HEALTHCHECK_FLAGS: &[KnownFlag] = &[
    (TIMES[0], Text),
    (TIMES[1], Text),
    (TIMES[2], Text),
    (TIMES[3], Text),
    ("retries", Text),
];

/// HEALTHCHECK. Nothing in it is expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    pub test: Vec<String>,
    /// Nanoseconds between checks, 0 if not given.
    pub interval: i64,
    /// Nanoseconds a check may take, 0 if not given.
    pub timeout: i64,
    /// Nanoseconds during which failures do not count, 0 if not given.
    pub start_period: i64,
    /// Nanoseconds between checks in that time, 0 if not given.
    pub start_interval: i64,
    /// Failures that make a container unhealthy, 0 if not given.
    pub retries: i64,
}

impl Healthcheck {
    /// What the history row shows after the keyword.
    pub fn history(&self) -> String {
        format!(
            "{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
            plain_list(&self.test),
            duration::format(self.interval),
            duration::format(self.timeout),
            duration::format(self.start_period),
            duration::format(self.start_interval),
            self.retries
        )
    }
}

pub(super) fn healthcheck(node: &Node) -> Result<Healthcheck, Failure> {
    let Arguments::Health(word, command) = &node.arguments else {
        return Err(ParseErrorKind::AtLeastOne("HEALTHCHECK").into());
    };
    let kind = word.to_uppercase();
    if kind == "NONE" {
        return none(command);
    }
    let flags = node.checked_flags(HEALTHCHECK_FLAGS)?;
    let test = test(&kind, word, command)?;
    let [interval, timeout, start_period, start_interval] = times(&flags)?;
    Ok(Healthcheck {
        test,
        interval,
        timeout,
        start_period,
        start_interval,
        retries: retries(&flags)?,
    })
}

fn none(command: &Arguments) -> Result<Healthcheck, Failure> {
    let has_words =
        matches!(command, Arguments::Words(words) | Arguments::Json(words) if !words.is_empty());
    if has_words {
        return Err(ParseErrorKind::HealthcheckNone.into());
    }
    Ok(Healthcheck {
        test: vec!["NONE".to_owned()],
        ..Healthcheck::default()
    })
}

fn test(kind: &str, word: &str, command: &Arguments) -> Result<Vec<String>, Failure> {
    if kind != "CMD" {
        return Err(Failure::at(
            ParseErrorKind::HealthcheckType(kind.to_owned()),
            word,
        ));
    }
    let (form, words) = match command {
        Arguments::Words(words) => ("CMD-SHELL", words.as_slice()),
        Arguments::Json(words) => ("CMD", words.as_slice()),
        _ => ("CMD-SHELL", [].as_slice()),
    };
    if words.is_empty() {
        return Err(ParseErrorKind::HealthcheckCommand.into());
    }
    Ok(std::iter::once(form.to_owned())
        .chain(words.iter().cloned())
        .collect())
}

fn times(flags: &Flags) -> Result<[i64; 4], Failure> {
    let mut times = [0; 4];
    for (time, name) in times.iter_mut().zip(TIMES) {
        if let Some(text) = flags.non_empty(name) {
            *time = interval(name, &text)?;
        }
    }
    Ok(times)
}

fn interval(name: &'static str, text: &str) -> Result<i64, ParseErrorKind> {
    match duration::parse(text)? {
        nanos if nanos != 0 && nanos < 1_000_000 => Err(ParseErrorKind::IntervalTooShort(name)),
        nanos => Ok(nanos),
    }
}

fn retries(flags: &Flags) -> Result<i64, ParseErrorKind> {
    let Some(value) = flags.non_empty("retries") else {
        return Ok(0);
    };
    let digits = value.strip_prefix(['+', '-']).unwrap_or(&value);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<i32>() {
        Ok(number) if number < 0 => Err(ParseErrorKind::NegativeRetries(number.into())),
        Ok(number) => Ok(number.into()),
        Err(_) if is_number => Err(ParseErrorKind::Retries {
            value,
            reason: "value out of range",
        }),
        Err(_) => Err(ParseErrorKind::Retries {
            value,
            reason: "invalid syntax",
        }),
    }
}
