//! How much is told, and in which form.

use super::{Given, UsageError, is_on, nonempty};
use crate::environment::Environment;
use crate::flags::images::LogFlags;

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
    /// A display on the terminal that is redrawn in place.
    pub live: bool,
    /// Characters beyond ASCII in that display.
    pub unicode: bool,
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

/// Reads `--verbosity`, `--log-format`, `--log-timestamp`, `--progress`, `--quiet`, and what the environment says of the
/// terminal: `BUILDKIT_PROGRESS`, `NO_COLOR`, `TERM`, `GITLAB_CI`, the locale.
pub(super) fn settings(given: Given<'_>) -> Result<ConsoleSettings, UsageError> {
    let (kaniko, docker) = (&given.flags.kaniko, &given.flags.docker);
    let mode = docker
        .progress
        .as_deref()
        .or_else(|| given.environment.text("BUILDKIT_PROGRESS"));
    let progress = progress(mode)?;
    let (format, color) = match kaniko.log_format.as_deref() {
        None | Some("") if progress == Progress::Json => (LogFormat::Json, None),
        None | Some("") => (LogFormat::Text, None),
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
    let quiet = is_on(docker.quiet) || progress == Progress::Quiet;
    let live = is_live(given, progress)? && format == LogFormat::Text && !quiet;
    Ok(ConsoleSettings {
        format,
        color: color.unwrap_or_else(|| shows_color(given, in_gitlab)),
        timestamp: is_on(kaniko.log_timestamp),
        verbosity: match verbosity(kaniko.verbosity.as_deref())? {
            least if is_on(given.flags.classic.debug) => least.max(Verbosity::Debug),
            level => level,
        },
        quiet,
        sections: in_gitlab && format == LogFormat::Text && !live,
        live,
        unicode: speaks_unicode(given),
    })
}

/// Reads the flags of commands that move images.
///
/// # Errors
///
/// A value that means nothing.
pub fn console_of(
    log: &LogFlags,
    environment: &Environment,
) -> Result<ConsoleSettings, UsageError> {
    let (format, color) = match log.log_format.as_deref() {
        None | Some("" | "text") => (LogFormat::Text, false),
        Some("color") => (LogFormat::Text, true),
        Some("json") => (LogFormat::Json, false),
        other => {
            return Err(UsageError::value(
                "log-format",
                other,
                "expected text, color or json",
            ));
        }
    };
    Ok(ConsoleSettings {
        format,
        color: color && environment.text("NO_COLOR").is_none(),
        timestamp: is_on(log.log_timestamp),
        verbosity: verbosity(log.verbosity.as_deref())?,
        quiet: false,
        sections: false,
        live: false,
        unicode: false,
    })
}

/// Values of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Auto,
    Terminal,
    Plain,
    Quiet,
    Json,
}

fn progress(mode: Option<&str>) -> Result<Progress, UsageError> {
    match mode {
        None | Some("" | "auto") => Ok(Progress::Auto),
        Some("tty") => Ok(Progress::Terminal),
        Some("plain") => Ok(Progress::Plain),
        Some("quiet" | "none") => Ok(Progress::Quiet),
        Some("rawjson" | "json") => Ok(Progress::Json),
        other => Err(UsageError::value(
            "progress",
            other,
            "expected auto, tty, plain, quiet or rawjson",
        )),
    }
}

/// Whether progress is redrawn in place: asked for, or where a person looks at a terminal that can do it.
fn is_live(given: Given<'_>, progress: Progress) -> Result<bool, UsageError> {
    let environment = given.environment;
    let able = environment.terminals.stderr && environment.text("TERM") != Some("dumb");
    match progress {
        Progress::Terminal if !able => Err(UsageError::value(
            "progress",
            Some("tty"),
            "standard error is no terminal that can redraw lines; use plain",
        )),
        Progress::Terminal => Ok(true),
        // Kinds of lines that were asked for in words are lines.
        Progress::Auto => Ok(able
            && environment.text("CI").is_none()
            && nonempty(given.flags.kaniko.log_format.as_deref()).is_none()
            && !is_on(given.flags.kaniko.log_timestamp)),
        _ => Ok(false),
    }
}

/// What the locale says; the C locale has no more than ASCII.
fn speaks_unicode(given: Given<'_>) -> bool {
    let named = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| given.environment.text(name));
    named.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
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
