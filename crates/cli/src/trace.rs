//! Traces of a build: spans of its work for a file that Chrome and Perfetto show, and for an OpenTelemetry collector.

mod chrome;
mod otlp;

use tokio::runtime::Handle;
use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use crate::console::Console;
use crate::convert::Job;
use crate::environment::Environment;
use crate::report::Failure;

use chrome::ChromeFile;
use otlp::Exporter;

/// Something that listens to spans.
pub(crate) type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Where the spans of a run go; nowhere unless somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    file: Option<ChromeFile>,
    exporter: Option<Exporter>,
}

impl Trace {
    /// Opens what `--trace` and `OTEL_EXPORTER_OTLP_ENDPOINT` name.
    ///
    /// # Errors
    ///
    /// The file cannot be made, or the collector's address or protocol cannot be used.
    pub(crate) fn open(
        job: &Job,
        environment: &Environment,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        let file = job.trace.as_deref().map(ChromeFile::create).transpose()?;
        Ok(Self {
            file,
            exporter: Exporter::open(job, environment, runtime)?,
        })
    }

    /// What has to be told of every span.
    pub(crate) fn listeners(&self) -> Vec<Listener> {
        let work = || Targets::new().with_target("yadokari::work", LevelFilter::INFO);
        let file = self
            .file
            .iter()
            .map(|file| file.layer().with_filter(work()).boxed());
        let exporter = self.exporter.iter();
        let exporter = exporter.map(|exporter| exporter.layer().with_filter(work()).boxed());
        file.chain(exporter).collect()
    }

    /// The span of everything, in the trace that `TRACEPARENT` names if there is one.
    pub(crate) fn root(&self, environment: &Environment) -> Span {
        let root = tracing::info_span!(target: "yadokari::work", "yadokari");
        if let Some(exporter) = &self.exporter {
            exporter.adopt(&root, environment);
        }
        root
    }

    /// Writes and sends what is left. What went wrong is told; the build itself is not the worse for it.
    pub(crate) fn finish(self, console: &Console) {
        if let Some(problem) = self.file.and_then(ChromeFile::finish) {
            console.notice(&problem);
        }
        if let Some(problem) = self.exporter.and_then(Exporter::finish) {
            console.notice(&problem);
        }
    }
}
