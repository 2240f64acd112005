//! What is said of a build whose result goes nowhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use yadokari_build::{Event, Events};

use crate::console::Console;

/// Passes events on, and tells once that nothing is kept when the work ahead is known: whoever has a mistake in the
/// Dockerfile has other worries.
pub(super) struct Placeless {
    events: Arc<dyn Events>,
    remark: Arc<Remark>,
}

/// The remark, which all builds of a command have in common.
pub(super) struct Remark {
    text: &'static str,
    console: Arc<Console>,
    told: AtomicBool,
}

impl Remark {
    pub(super) fn new(text: &'static str, console: &Arc<Console>) -> Arc<Self> {
        Arc::new(Self {
            text,
            console: Arc::clone(console),
            told: AtomicBool::new(false),
        })
    }
}

impl Placeless {
    /// Events of a build on their way to `events`.
    pub(super) fn new(events: Arc<dyn Events>, remark: &Arc<Remark>) -> Arc<Self> {
        Arc::new(Self {
            events,
            remark: Arc::clone(remark),
        })
    }
}

impl Events for Placeless {
    fn on(&self, event: Event<'_>) {
        let Remark {
            text,
            console,
            told,
        } = &*self.remark;
        if matches!(event, Event::Planned { .. }) && !told.swap(true, Ordering::Relaxed) {
            console.notice(text);
        }
        self.events.on(event);
    }
}
