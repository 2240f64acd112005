//! Spans for an OpenTelemetry collector, over OTLP with protobuf and HTTP.
//!
//! The variables are those of the OpenTelemetry specification: `OTEL_EXPORTER_OTLP_ENDPOINT` (and its form for traces)
//! turns the export on, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_SERVICE_NAME` and
//! `OTEL_RESOURCE_ATTRIBUTES` mean what they mean everywhere, and `TRACEPARENT` makes the build part of a longer trace.
//! Without them kaniko's `KANIKO_TELEMETRY_ENDPOINT` names the collector.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::convert::Job;
use crate::environment::Environment;
use crate::report::Failure;
use crate::services::registry;

/// Sends spans while the build goes on.
#[derive(Debug)]
pub(super) struct Exporter {
    provider: SdkTracerProvider,
    /// What went wrong with the last spans that were sent.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Exporter {
    /// Starts the export if a collector is named.
    pub(super) fn open(
        job: &Job,
        environment: &Environment,
        runtime: &Handle,
    ) -> Result<Option<Self>, Failure> {
        let Some(collector) = Collector::of(environment) else {
            return Ok(None);
        };
        check_protocol(environment)?;
        let options =
            registry::options(&job.registry, environment).map_err(|error| Failure::from(&error))?;
        let http = yadokari_registry::confidential_client(&options)
            .map_err(|error| Failure::new(&error))?;
        let trouble = Arc::default();
        let client = Client {
            http,
            runtime: runtime.clone(),
            trouble: Arc::clone(&trouble),
        };
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        let exporter = match collector {
            Collector::Standard => exporter,
            Collector::Kaniko(address) => exporter.with_endpoint(address),
        };
        let exporter = exporter.build().map_err(|error| {
            Failure::told(format!("cannot export traces: {error}"))
                .with_hint("OTEL_EXPORTER_OTLP_ENDPOINT takes the address of a collector, as http://localhost:4318")
        })?;
        let resource = Resource::builder().with_service_name(service(environment));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        Ok(Some(Self { provider, trouble }))
    }

    /// What sends spans.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("yadokari"))
            .with_location(false)
            .with_threads(false)
    }

    /// Makes a span a child of the one that the environment names.
    pub(super) fn adopt(&self, span: &Span, environment: &Environment) {
        let names = [("TRACEPARENT", "traceparent"), ("TRACESTATE", "tracestate")];
        let carrier: HashMap<String, String> = names
            .into_iter()
            .filter_map(|(variable, field)| {
                Some((field.to_owned(), environment.text(variable)?.to_owned()))
            })
            .collect();
        let parent = TraceContextPropagator::new().extract(&carrier);
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!(%error, "the trace has no parent");
        }
    }

    /// Sends what is left; says what went wrong.
    pub(super) fn finish(self) -> Option<String> {
        let stopped = self
            .provider
            .shutdown()
            .err()
            .map(|error| error.to_string());
        let trouble = locked(&self.trouble).take().or(stopped)?;
        Some(format!(
            "the collector did not take the whole trace: {trouble}"
        ))
    }
}

/// Which variable names the collector.
#[derive(Debug, PartialEq, Eq)]
enum Collector {
    /// One of the specification's, which the exporter reads itself.
    Standard,
    /// Kaniko's, with the path that spans go to.
    Kaniko(String),
}

impl Collector {
    fn of(environment: &Environment) -> Option<Self> {
        let is = |name, text: &str| environment.text(name) == Some(text);
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return None;
        }
        let named = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        ];
        if named.iter().any(|name| environment.text(name).is_some()) {
            return Some(Self::Standard);
        }
        let address = environment.text("KANIKO_TELEMETRY_ENDPOINT")?;
        Some(Self::Kaniko(with_path(address)))
    }
}

/// An address without a path gets the one that collectors take spans at.
fn with_path(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    match rest.split_once('/') {
        Some((_, path)) if !path.is_empty() => address.to_owned(),
        _ if scheme.is_empty() => format!("{}/v1/traces", rest.trim_end_matches('/')),
        _ => format!("{scheme}://{}/v1/traces", rest.trim_end_matches('/')),
    }
}

fn check_protocol(environment: &Environment) -> Result<(), Failure> {
    let named = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    let protocol = named.iter().find_map(|name| environment.text(name));
    match protocol {
        None | Some("" | "http/protobuf") => Ok(()),
        Some(other) => Err(Failure::told(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL={other}: traces are exported with http/protobuf only"
        ))
        .with_hint(
            "collectors take it on port 4318; set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        )),
    }
}

fn service(environment: &Environment) -> String {
    environment
        .text("OTEL_SERVICE_NAME")
        .unwrap_or("yadokari")
        .to_owned()
}

/// The program's own HTTP client for a thread that has no runtime.
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    trouble: Arc<Mutex<Option<String>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let answer = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let status = answer.status();
            Ok::<_, reqwest::Error>((status, answer.bytes().await?))
        });
        let (status, body) = answer.await??;
        Ok(Response::builder().status(status).body(body)?)
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        *locked(&self.trouble) = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        answer
    }
}

fn locked(trouble: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    trouble
        .lock()
        .expect("nothing panics while it holds this lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_the_specification_win_over_kanikos() {
        let kaniko = ("KANIKO_TELEMETRY_ENDPOINT", "http://k:4318");
        let sent = |text: &str| Some(Collector::Kaniko(text.to_owned()));
        let table = [
            (vec![], None),
            (vec![kaniko], sent("http://k:4318/v1/traces")),
            (
                vec![("KANIKO_TELEMETRY_ENDPOINT", "https://k/own/path")],
                sent("https://k/own/path"),
            ),
            (
                vec![kaniko, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://o")],
                Some(Collector::Standard),
            ),
            (vec![kaniko, ("OTEL_SDK_DISABLED", "true")], None),
        ];
        for (variables, expected) in table {
            let environment = Environment::default().with_variables(variables.clone());
            assert_eq!(Collector::of(&environment), expected, "{variables:?}");
        }
    }
}
