//! How much is told, and in which form.

use super::{Given, UsageError, is_on};

/// What is told, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// The form of messages.
    pub format: LogFormat,
    /// Colours in text.
    pub color: bool,
    /// Time before every line.
    pub timestamp: bool,
    /// How much.
    pub verbosity: Verbosity,
    /// Only the digest, on standard output.
    pub quiet: bool,
    /// GitLab's collapsible sections.
    pub sections: bool,
}

/// Forms of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// How much is told; later ones include earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only what ends the program (`panic`, `fatal` and `error`).
    Error,
    /// Warnings too.
    Warn,
    /// Steps and their output too.
    Info,
    /// Messages of the libraries too.
    Debug,
    /// All of them.
    Trace,
}

/// Reads `--verbosity`, `--log-format`, `--log-timestamp`, `--progress`, `--quiet`, `NO_COLOR` and `GITLAB_CI`.
pub(super) fn settings(given: Given<'_>) -> Result<ConsoleSettings, UsageError> {
    let (kaniko, docker) = (&given.flags.kaniko, &given.flags.docker);
    let (progress_format, progress_quiet) = progress(docker.progress.as_deref())?;
    let (format, color) = match kaniko.log_format.as_deref() {
        None | Some("") => (progress_format, None),
        Some("text") => (LogFormat::Text, Some(false)),
        Some("color") => (LogFormat::Text, Some(true)),
        Some("json") => (LogFormat::Json, Some(false)),
        other => {
            return Err(UsageError::value(
                "log-format",
                other,
                "expected text, color or json",
            ));
        }
    };
    let in_gitlab = given.environment.text("GITLAB_CI").is_some();
    Ok(ConsoleSettings {
        format,
        color: color.unwrap_or_else(|| shows_color(given, in_gitlab)),
        timestamp: is_on(kaniko.log_timestamp),
        verbosity: verbosity(kaniko.verbosity.as_deref())?,
        quiet: is_on(docker.quiet) || progress_quiet,
        sections: in_gitlab && format == LogFormat::Text,
    })
}

fn progress(mode: Option<&str>) -> Result<(LogFormat, bool), UsageError> {
    match mode {
        None | Some("" | "auto" | "plain") => Ok((LogFormat::Text, false)),
        Some("quiet" | "none") => Ok((LogFormat::Text, true)),
        Some("rawjson" | "json") => Ok((LogFormat::Json, false)),
        other => Err(UsageError::value(
            "progress",
            other,
            "expected auto, plain, quiet or rawjson",
        )),
    }
}

/// GitLab's job log shows colours though it is no terminal.
fn shows_color(given: Given<'_>, in_gitlab: bool) -> bool {
    let refused = given.environment.text("NO_COLOR").is_some()
        || given.environment.text("TERM") == Some("dumb");
    !refused && (in_gitlab || given.environment.terminals.stderr)
}

fn verbosity(level: Option<&str>) -> Result<Verbosity, UsageError> {
    match level.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "info") => Ok(Verbosity::Info),
        Some("trace") => Ok(Verbosity::Trace),
        Some("debug") => Ok(Verbosity::Debug),
        Some("warn" | "warning") => Ok(Verbosity::Warn),
        Some("error" | "fatal" | "panic") => Ok(Verbosity::Error),
        Some(_) => Err(UsageError::value(
            "verbosity",
            level,
            "expected trace, debug, info, warn, error, fatal or panic",
        )),
    }
}

impl Verbosity {
    /// The level's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
