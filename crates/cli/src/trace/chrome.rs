//! A file of trace events, as `chrome://tracing` and Perfetto read it.
//!
//! The format is Chrome's trace event format: a JSON array of complete events, with times in microseconds. Spans overlap
//! freely, while events of one track have to nest; so each span is put on the track of the span it is in if that one has
//! nothing else going on, and on a free track otherwise.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use serde_json::json;
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::report::Failure;

/// The file of `--trace`.
#[derive(Debug)]
pub(super) struct ChromeFile {
    path: PathBuf,
    sheet: Arc<Mutex<Sheet>>,
}

impl ChromeFile {
    /// Makes the file.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| {
            Failure::told(format!(
                "cannot write the trace {}: {error}",
                path.display()
            ))
            .with_hint("--trace takes the path of a file in a directory that exists")
        })?;
        Ok(Self {
            path: path.to_owned(),
            sheet: Arc::new(Mutex::new(Sheet::new(Box::new(file)))),
        })
    }

    /// What writes spans to the file.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        ChromeLayer {
            sheet: Arc::clone(&self.sheet),
        }
    }

    /// Ends the file; says what went wrong with it.
    pub(super) fn finish(self) -> Option<String> {
        let error = lock(&self.sheet).finish().err()?;
        Some(format!(
            "the trace {} is not complete: {error}",
            self.path.display()
        ))
    }
}

/// What is on the tracks, and where events are written.
struct Sheet {
    out: BufWriter<Box<dyn Write + Send>>,
    start: Instant,
    /// The open spans of each track, the outermost first.
    tracks: Vec<Vec<Id>>,
    /// Whether no event was written yet.
    empty: bool,
    failed: Option<io::Error>,
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sheet")
            .field("tracks", &self.tracks)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Sheet {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out: BufWriter::new(out),
            start: Instant::now(),
            tracks: Vec::new(),
            empty: true,
            failed: None,
        }
    }

    /// Puts a span on a track.
    fn open(&mut self, id: &Id, parent: Option<(Id, usize)>) -> usize {
        let below = parent.filter(|(parent, track)| self.tracks[*track].last() == Some(parent));
        let track = match below {
            Some((_, track)) => track,
            None => self.free_track(),
        };
        self.tracks[track].push(id.clone());
        track
    }

    fn free_track(&mut self) -> usize {
        let free = self.tracks.iter().position(Vec::is_empty);
        free.unwrap_or_else(|| {
            self.tracks.push(Vec::new());
            self.tracks.len() - 1
        })
    }

    fn close(&mut self, id: &Id, span: &Open) {
        self.tracks[span.track].retain(|open| open != id);
        let micros = |time: std::time::Duration| time.as_micros() as u64;
        let event = json!({
            "name": span.title,
            "cat": span.kind,
            "ph": "X",
            "pid": 1,
            "tid": span.track,
            "ts": micros(span.since.saturating_duration_since(self.start)),
            "dur": micros(span.since.elapsed()),
        });
        self.write(&event.to_string());
    }

    /// Writes one event. After a failure nothing more is written.
    fn write(&mut self, event: &str) {
        if self.failed.is_some() {
            return;
        }
        let before = if self.empty { "[\n" } else { ",\n" };
        self.empty = false;
        self.failed = write!(self.out, "{before}{event}").err();
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let last = if self.empty { "[]\n" } else { "\n]\n" };
        self.out.write_all(last.as_bytes())?;
        self.out.flush()
    }
}

/// A span that has not ended.
struct Open {
    title: String,
    kind: &'static str,
    since: Instant,
    track: usize,
}

struct ChromeLayer {
    sheet: Arc<Mutex<Sheet>>,
}

impl<S> Layer<S> for ChromeLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            let track = parent.extensions().get::<Open>()?.track;
            Some((parent.id(), track))
        });
        let mut title = Title(attributes.metadata().name().to_owned());
        attributes.record(&mut title);
        let track = lock(&self.sheet).open(id, parent);
        span.extensions_mut().insert(Open {
            title: title.0,
            kind: attributes.metadata().name(),
            since: Instant::now(),
            track,
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        if let Some(open) = span.extensions().get::<Open>() {
            lock(&self.sheet).close(&id, open);
        }
    }
}

/// A span's name with what it works on behind it.
struct Title(String);

impl Visit for Title {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "what" {
            self.0 = format!("{} {value:?}", self.0).trim_end().to_owned();
        }
    }
}

fn lock(sheet: &Mutex<Sheet>) -> MutexGuard<'_, Sheet> {
    sheet
        .lock()
        .expect("nothing panics while it holds this lock")
}

#[cfg(test)]
mod tests {
    use tracing::info_span;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn traced(work: impl FnOnce()) -> Vec<serde_json::Value> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        let file = ChromeFile::create(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(file.layer());
        tracing::subscriber::with_default(subscriber, work);
        assert_eq!(file.finish(), None);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn track(events: &[serde_json::Value], name: &str) -> u64 {
        let event = events.iter().find(|event| event["name"] == name).unwrap();
        event["tid"].as_u64().unwrap()
    }

    #[test]
    fn a_trace_without_spans_is_an_empty_array() {
        assert!(traced(|| ()).is_empty());
    }

    #[test]
    fn a_span_stands_on_the_track_of_the_one_it_is_in() {
        let events = traced(|| {
            let _outer = info_span!("stage", what = %"builder").entered();
            let _inner = info_span!("run", what = %"make \"all\"").entered();
        });
        assert_eq!(events.len(), 2);
        assert_eq!(
            track(&events, "stage builder"),
            track(&events, "run make \"all\"")
        );
    }

    #[test]
    fn spans_of_one_parent_that_overlap_stand_on_tracks_of_their_own() {
        let events = traced(|| {
            let parent = info_span!("build", what = %"").entered();
            let first = info_span!("transfer", what = %"one");
            let second = info_span!("transfer", what = %"two");
            drop((first, second, parent));
        });
        assert_ne!(
            track(&events, "transfer one"),
            track(&events, "transfer two")
        );
        assert_eq!(track(&events, "build"), track(&events, "transfer one"));
    }

    #[test]
    fn a_track_is_used_again_when_its_span_has_ended() {
        let events = traced(|| {
            drop(info_span!(parent: None, "transfer", what = %"one"));
            drop(info_span!(parent: None, "transfer", what = %"two"));
        });
        assert_eq!(
            track(&events, "transfer one"),
            track(&events, "transfer two")
        );
    }

    #[test]
    fn a_disk_that_refuses_is_reported_once_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sheet = Sheet::new(Box::new(Full));
        let long = "x".repeat(1 << 20);
        sheet.write(&long);
        sheet.write("more");
        assert_eq!(
            sheet.finish().unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
    }
}
