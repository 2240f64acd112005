//! [`Web`]: short requests to token servers and metadata services.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::CloudError;
use crate::response::{describe, read_body};
use crate::retry::retry_after;
use crate::{Options, RetryPolicy, downloads};

/// The largest answer that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;
/// How long a metadata service may take to accept a connection: it is next door, or not there at all.
const NEXT_DOOR: Duration = Duration::from_secs(1);

/// The way to token servers (with proxies) and to metadata services (without).
#[derive(Debug, Clone)]
pub(crate) struct Web {
    options: Arc<Options>,
    retry: RetryPolicy,
    far: Arc<OnceCell<reqwest::Client>>,
    near: Arc<OnceCell<reqwest::Client>>,
}

/// What became of one try.
enum Outcome {
    Answer(http::Response<Bytes>),
    Again(CloudError, Option<Duration>),
    Final(CloudError),
}

impl Web {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            retry: RetryPolicy {
                attempts: options.retry.attempts.min(3),
                ..options.retry
            },
            options: Arc::new(options.clone()),
            far: Arc::default(),
            near: Arc::default(),
        }
    }

    /// Whether this registry is called by plain HTTP, because the user allows it.
    pub(crate) fn is_plain(&self, registry: &str) -> bool {
        use crate::endpoint::Purpose::{Pull, Push};
        let insecure = &self.options.insecure;
        insecure.covers(registry, Pull) || insecure.covers(registry, Push)
    }

    /// Sends a request to a server somewhere; answers of any status come back.
    ///
    /// Redirects are not followed: these requests carry secrets. What may pass is tried again.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<http::Response<Bytes>, CloudError> {
        let client = self.far().await?;
        let mut attempt = 1;
        loop {
            let (error, asked) =
                match exchange(client, request.clone(), self.options.timeouts.read).await {
                    Outcome::Answer(response) => return Ok(response),
                    Outcome::Final(error) => return Err(error),
                    Outcome::Again(error, asked) => (error, asked),
                };
            let Some(delay) = self.retry.delay_after(attempt, asked) else {
                return Err(error);
            };
            tracing::debug!(%error, attempt, ?delay, "asking a cloud again");
            tokio::time::sleep(delay).await;
            attempt += 1;
        }
    }

    /// Sends a request to a service of this machine; a missing one is noticed within a second.
    pub(crate) async fn send_near(
        &self,
        request: Request<Bytes>,
    ) -> Result<http::Response<Bytes>, CloudError> {
        match exchange(self.near().await?, request, Duration::from_secs(10)).await {
            Outcome::Answer(response) => Ok(response),
            Outcome::Again(error, _) | Outcome::Final(error) => Err(error),
        }
    }

    /// As [`Web::send`]; the answer is a success in JSON.
    pub(crate) async fn json(&self, request: Request<Bytes>) -> Result<Value, CloudError> {
        let host = host_of(&request);
        read_json(host, self.send(request).await?)
    }

    /// As [`Web::send_near`]; the answer is a success in JSON.
    pub(crate) async fn json_near(&self, request: Request<Bytes>) -> Result<Value, CloudError> {
        let host = host_of(&request);
        read_json(host, self.send_near(request).await?)
    }

    async fn far(&self) -> Result<&reqwest::Client, CloudError> {
        let make = async || {
            downloads::builder(&self.options, true).and_then(|builder| {
                downloads::build(builder.redirect(reqwest::redirect::Policy::none()))
            })
        };
        self.far
            .get_or_try_init(make)
            .await
            .map_err(|error| no_client(&error))
    }

    async fn near(&self) -> Result<&reqwest::Client, CloudError> {
        let make = async || {
            let direct = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(NEXT_DOOR);
            downloads::build(downloads::with_roots(direct, &self.options, true)?)
        };
        self.near
            .get_or_try_init(make)
            .await
            .map_err(|error| no_client(&error))
    }
}

fn no_client(error: &crate::ClientError) -> CloudError {
    CloudError::Setting {
        place: "certificates and proxies".to_owned(),
        reason: error.to_string(),
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: Request<Bytes>,
    patience: Duration,
) -> Outcome {
    let host = host_of(&request);
    let unreachable = |reason: String| CloudError::Unreachable {
        host: host.clone(),
        reason,
    };
    let Ok(request) = reqwest::Request::try_from(request) else {
        return Outcome::Final(unreachable("its address is no URL".to_owned()));
    };
    let response = match tokio::time::timeout(patience, client.execute(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            return Outcome::Again(
                unreachable(crate::transport::classify(error).to_string()),
                None,
            );
        }
        Err(_) => {
            return Outcome::Again(
                unreachable(format!("silent for {} seconds", patience.as_secs())),
                None,
            );
        }
    };
    let (status, asked) = (response.status(), retry_after(response.headers()));
    let body = match read_body(response, LIMIT, patience).await {
        Ok(body) => body,
        Err(cause) => return Outcome::Again(unreachable(cause.to_string()), None),
    };
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return Outcome::Again(refused(&host, status, &body), asked);
    }
    let mut answer = http::Response::new(body);
    *answer.status_mut() = status;
    Outcome::Answer(answer)
}

fn read_json(host: String, response: http::Response<Bytes>) -> Result<Value, CloudError> {
    if !response.status().is_success() {
        return Err(refused(&host, response.status(), response.body()));
    }
    serde_json::from_slice(response.body()).map_err(|_| CloudError::Answer {
        host,
        field: "JSON".to_owned(),
    })
}

fn refused(host: &str, status: StatusCode, body: &[u8]) -> CloudError {
    CloudError::Refused {
        host: host.to_owned(),
        status: status.as_u16(),
        message: describe(body).1,
    }
}

fn host_of(request: &Request<Bytes>) -> String {
    request
        .uri()
        .authority()
        .map_or_else(|| request.uri().path().to_owned(), ToString::to_string)
}

/// A text below `field` of an answer.
pub(crate) fn json_field(host: &str, answer: &Value, field: &str) -> Result<String, CloudError> {
    let text = answer
        .pointer(&format!("/{}", field.replace('.', "/")))
        .and_then(Value::as_str);
    let missing = || CloudError::Answer {
        host: host.to_owned(),
        field: field.to_owned(),
    };
    text.filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(missing)
}

/// A POST of a form to `url`, a text that is taken from a file or a variable called `place`.
pub(crate) fn form(
    place: &str,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<Request<Bytes>, CloudError> {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    Request::post(checked(place, url)?)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body))
        .map_err(|error| setting(place, &error))
}

/// A GET of `url` with headers.
pub(crate) fn get(
    place: &str,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Request<Bytes>, CloudError> {
    let request = Request::get(checked(place, url)?);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request
        .body(Bytes::new())
        .map_err(|error| setting(place, &error))
}

/// Secrets go out by HTTPS, or stay on this machine and its link.
fn checked<'a>(place: &str, url: &'a str) -> Result<&'a str, CloudError> {
    let wrong = |reason: &str| CloudError::Setting {
        place: place.to_owned(),
        reason: format!("`{}` {reason}", url.split('?').next().unwrap_or_default()),
    };
    let parsed = url::Url::parse(url).map_err(|_| wrong("is no URL"))?;
    let host = parsed.host_str().ok_or_else(|| wrong("names no host"))?;
    match parsed.scheme() {
        "https" => Ok(url),
        "http" if is_near(host) => Ok(url),
        _ => Err(wrong("is not HTTPS")),
    }
}

/// Whether a host is this machine, or a service that its cloud offers on its link.
fn is_near(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let local = match literal.parse() {
        Ok(std::net::IpAddr::V4(address)) => address.is_link_local() || address.is_private(),
        Ok(std::net::IpAddr::V6(address)) => {
            address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => host == "metadata.google.internal" || host == "metadata",
    };
    local || crate::host::is_loopback(host)
}

fn setting(place: &str, error: &http::Error) -> CloudError {
    CloudError::Setting {
        place: place.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_out_by_https_only() {
        for url in [
            "https://a/t",
            "http://127.0.0.1:1/t",
            "http://169.254.169.254/x",
            "http://metadata.google.internal/",
        ] {
            assert!(form("p", url, &[]).is_ok(), "{url}");
        }
        for url in [
            "http://a/t?secret=1",
            "http://8.8.8.8/",
            "http://169.254.169.254.evil.com/",
            "file:///x",
            "a",
            "https://",
        ] {
            let error = form("p", url, &[]).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
