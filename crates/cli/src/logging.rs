//! Messages of the libraries, for those who ask for more than the steps.

mod line;

use std::io::Write;

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::console::Screen;
use crate::convert::{ConsoleSettings, LogFormat, Verbosity};
use crate::trace::Listener;

use line::Line;

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
    // An empty list of listeners would switch off everything: it is interested in nothing.
    let listeners = (!listeners.is_empty()).then_some(listeners);
    let registry = tracing_subscriber::registry().with(listeners);
    let screen = screen.cloned();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(settings.color)
        .with_writer(move || -> Box<dyn Write> {
            match &screen {
                Some(screen) => Box::new(screen.writer()),
                None => Box::new(std::io::stderr()),
            }
        });
    // A second start in one process, as tests have it, finds the first one in place.
    let _ = match settings.format {
        LogFormat::Json => {
            let lines = lines.json().with_current_span(false).with_span_list(false);
            let lines = lines.with_target(false).with_filter(ours);
            registry.with(lines).try_init()
        }
        LogFormat::Text => registry
            .with(lines.event_format(Line).with_filter(ours))
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
