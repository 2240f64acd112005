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
    /// Lines fit the terminal that standard error is.
    pub fitted: bool,
    /// A display on the terminal that is redrawn in place.
    pub live: bool,
    /// Characters beyond ASCII in that display.
    pub unicode: bool,
}

impl ConsoleSettings {
    /// What holds where no flag says anything.
    pub fn of(environment: &Environment) -> Self {
        Self {
            format: LogFormat::Text,
            color: shows_color(environment),
            timestamp: false,
            verbosity: Verbosity::Info,
            quiet: false,
            sections: false,
            fitted: looks_at_terminal(environment),
            live: false,
            unicode: false,
        }
    }
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
    let fitted = is_fitted(given, progress) && format == LogFormat::Text;
    let live = is_live(given, progress, fitted)? && !quiet;
    Ok(ConsoleSettings {
        format,
        color: color.unwrap_or_else(|| shows_color(given.environment)),
        timestamp: is_on(kaniko.log_timestamp),
        verbosity: match verbosity(kaniko.verbosity.as_deref())? {
            least if is_on(given.flags.classic.debug) => least.max(Verbosity::Debug),
            level => level,
        },
        quiet,
        sections: in_gitlab && format == LogFormat::Text && !live,
        fitted,
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
        None | Some("") => (LogFormat::Text, shows_color(environment)),
        Some("text") => (LogFormat::Text, false),
        Some("color") => (LogFormat::Text, environment.text("NO_COLOR").is_none()),
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
        color,
        timestamp: is_on(log.log_timestamp),
        verbosity: verbosity(log.verbosity.as_deref())?,
        fitted: looks_at_terminal(environment)
            && nonempty(log.log_format.as_deref()).is_none()
            && !is_on(log.log_timestamp),
        ..ConsoleSettings::of(environment)
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

/// Whether a person looks at the lines on a terminal, who did not ask for those of a log.
fn is_fitted(given: Given<'_>, progress: Progress) -> bool {
    let environment = given.environment;
    let asked_for_lines = nonempty(given.flags.kaniko.log_format.as_deref()).is_some()
        || is_on(given.flags.kaniko.log_timestamp);
    match progress {
        Progress::Terminal => environment.terminals.stderr,
        Progress::Auto | Progress::Quiet => looks_at_terminal(environment) && !asked_for_lines,
        Progress::Plain | Progress::Json => false,
    }
}

/// Terminals of CI jobs are logs.
fn looks_at_terminal(environment: &Environment) -> bool {
    environment.terminals.stderr && environment.text("CI").is_none()
}

/// Whether progress is redrawn in place: asked for, or where lines fit a terminal that can do it.
fn is_live(given: Given<'_>, progress: Progress, fitted: bool) -> Result<bool, UsageError> {
    let environment = given.environment;
    let able = environment.terminals.stderr && environment.text("TERM") != Some("dumb");
    match progress {
        Progress::Terminal if !able => Err(UsageError::value(
            "progress",
            Some("tty"),
            "standard error is no terminal that can redraw lines; use plain",
        )),
        _ => Ok(fitted && able),
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
fn shows_color(environment: &Environment) -> bool {
    let refused =
        environment.text("NO_COLOR").is_some() || environment.text("TERM") == Some("dumb");
    let in_gitlab = environment.text("GITLAB_CI").is_some();
    !refused && (in_gitlab || environment.terminals.stderr)
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
