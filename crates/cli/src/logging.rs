//! Messages of the libraries, for those who ask for more than the steps.

use std::io::Write;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::console::Screen;
use crate::convert::{ConsoleSettings, LogFormat, Verbosity};
use crate::trace::Listener;

/// Sends messages of our crates to standard error, above the live display if there is one, and spans to the listeners.
/// Later calls change nothing.
pub(crate) fn start(settings: ConsoleSettings, listeners: Vec<Listener>, screen: Option<&Screen>) {
    let level = match settings.verbosity {
        Verbosity::Error => LevelFilter::ERROR,
        Verbosity::Warn | Verbosity::Info => LevelFilter::WARN,
        Verbosity::Debug => LevelFilter::DEBUG,
        Verbosity::Trace => LevelFilter::TRACE,
    };
    // Libraries below us tell of every byte; some of those are credentials.
    let ours = Targets::new()
        .with_default(LevelFilter::OFF)
        .with_targets(OURS.map(|target| (target, level)));
    let registry = tracing_subscriber::registry().with(listeners);
    let screen = screen.cloned();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || -> Box<dyn Write> {
            match &screen {
                Some(screen) => Box::new(screen.writer()),
                None => Box::new(std::io::stderr()),
            }
        })
        .with_target(false);
    // A second start in one process, as tests have it, finds the first one in place.
    let _ = match settings.format {
        LogFormat::Json => registry.with(lines.json().with_filter(ours)).try_init(),
        LogFormat::Text => registry
            .with(
                lines
                    .with_ansi(settings.color)
                    .without_time()
                    .with_filter(ours),
            )
            .try_init(),
    };
}

const OURS: [&str; 9] = [
    "yadokari",
    "yadokari_build",
    "yadokari_cache",
    "yadokari_context",
    "yadokari_plan",
    "yadokari_registry",
    "yadokari_rootfs",
    "yadokari_sandbox",
    "yadokari_store",
];
