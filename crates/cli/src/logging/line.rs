//! [`Line`]: a message of a library as the lines around it look.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::console::style::{Ink, paint};

/// Writes `warning: message: cause (field value, field value)`, without the spans that the message came from.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (ink, label) = label(*event.metadata().level());
        let label = paint(writer.has_ansi_escapes(), ink, label);
        let mut parts = Parts::default();
        event.record(&mut parts);
        writeln!(writer, "{label}: {parts}")
    }
}

fn label(level: Level) -> (Ink, &'static str) {
    match level {
        Level::ERROR => (Ink::Error, "error"),
        Level::WARN => (Ink::Warning, "warning"),
        Level::INFO => (Ink::Faint, "info"),
        Level::DEBUG => (Ink::Faint, "debug"),
        Level::TRACE => (Ink::Faint, "trace"),
    }
}

/// What a message consists of.
#[derive(Debug, Default)]
struct Parts {
    message: String,
    /// Why; part of the sentence.
    cause: String,
    /// All else.
    facts: Vec<String>,
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = on_one_line(&format!("{value:?}"));
        match field.name() {
            "message" => self.message = text,
            "error" | "failure" => self.cause = text,
            name => self.facts.push(format!("{name} {text}")),
        }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = [self.message.as_str(), self.cause.as_str()];
        let sentence: Vec<_> = sentence
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&sentence.join(": "))?;
        if self.facts.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.facts.join(", "))
    }
}

/// The text without what could steer a terminal or look like a line of its own: servers have a say in it.
fn on_one_line(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(color: bool, say: impl FnOnce()) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(color)
            .with_writer(move || writer.clone())
            .event_format(Line);
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("pull", what = "secret detail").in_scope(say);
        });
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_a_sentence_with_its_cause_and_facts() {
        let error = "503 from r.example";
        let full = written(
            false,
            || tracing::warn!(%error, attempt = 1, name = "a", "trying again"),
        );
        assert_eq!(
            full,
            "warning: trying again: 503 from r.example (attempt 1, name a)\n"
        );
        let bare = written(false, || tracing::debug!(failure = %"no identity"));
        assert_eq!(bare, "debug: no identity\n");
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let error = "a\u{1b}[31mb\nerror: forged";
        let line = written(false, || tracing::error!(%error, "refused"));
        assert_eq!(line, "error: refused: a [31mb error: forged\n");
    }

    #[test]
    fn the_label_is_painted_where_colours_are_wanted() {
        let line = written(true, || tracing::warn!("trying again"));
        assert_eq!(line, "\u{1b}[1;33mwarning\u{1b}[0m: trying again\n");
    }
}
