//! [`Web`]: the way to web servers, and when to ask one again.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::http::{HttpError, shown_url};

/// Decides whether what failed is worth another try.
pub trait Patience: fmt::Debug + Send + Sync {
    /// How long to wait after the failed try number `attempt`, from 1; nothing where another one would be of no use,
    /// or enough were made.
    fn wait(&self, attempt: u32, setback: Setback<'_>) -> Option<Duration>;
}

/// What went wrong with a request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Setback<'a> {
    /// The server answered with an error.
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// The headers of the answer, `Retry-After` for instance.
        headers: &'a HeaderMap,
    },
    /// There was no answer, or not all of it came.
    Transfer(&'a reqwest::Error),
    /// Git says that the server is busy, or that the connection broke.
    Busy,
    /// Git says that the server cannot be reached.
    Unreachable,
}

/// An HTTP client that asks again as its [`Patience`] has it; a client alone asks once.
#[derive(Debug, Clone)]
pub struct Web {
    client: reqwest::Client,
    patience: Arc<dyn Patience>,
}

/// A try that failed, and how long to wait before the next one if there is to be one.
#[derive(Debug)]
pub(crate) struct Miss {
    error: HttpError,
    wait: Option<Duration>,
}

impl Web {
    /// Asks through this client, again and again as `patience` has it.
    #[must_use]
    pub fn new(client: reqwest::Client, patience: Arc<dyn Patience>) -> Self {
        Self { client, patience }
    }

    /// Sends `text` to an address with PUT.
    ///
    /// # Errors
    ///
    /// [`HttpError::NotTaken`] unless the status is a success.
    pub async fn put(&self, url: &str, text: &str) -> Result<(), HttpError> {
        let address = HttpError::parse(url)?;
        self.persist(url, |attempt| {
            let request = self.client.put(address.clone()).body(text.to_owned());
            async move {
                let answer = request.send().await.map_err(|source| {
                    let wait = self.wait(attempt, Setback::Transfer(&source));
                    let (url, source) = (shown_url(url), source.without_url());
                    HttpError::Upload { url, source }.again_in(wait)
                })?;
                match answer.status() {
                    status if status.is_success() => Ok(()),
                    status => Err(self.refused(
                        attempt,
                        &answer,
                        HttpError::NotTaken {
                            url: shown_url(url),
                            status: status.as_u16(),
                        },
                    )),
                }
            }
        })
        .await
    }

    pub(crate) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Makes attempts, which are told their number, until one succeeds or another is of no use.
    pub(crate) async fn persist<T, F>(
        &self,
        url: &str,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T, HttpError>
    where
        F: Future<Output = Result<T, Miss>>,
    {
        let mut number = 1;
        loop {
            let Miss { error, wait } = match attempt(number).await {
                Ok(done) => return Ok(done),
                Err(miss) => miss,
            };
            let Some(wait) = wait else {
                return Err(error);
            };
            tracing::warn!(%error, url = shown_url(url), attempt = number, ?wait, "trying again");
            tokio::time::sleep(wait).await;
            number += 1;
        }
    }

    /// An answer that is an error.
    pub(crate) fn refused(
        &self,
        attempt: u32,
        answer: &reqwest::Response,
        error: HttpError,
    ) -> Miss {
        let (status, headers) = (answer.status(), answer.headers());
        error.again_in(self.wait(attempt, Setback::Status { status, headers }))
    }

    /// A connection that failed.
    pub(crate) fn broken(&self, attempt: u32, url: &str, source: reqwest::Error) -> Miss {
        let wait = self.wait(attempt, Setback::Transfer(&source));
        let (url, source) = (shown_url(url), source.without_url());
        HttpError::Transfer { url, source }.again_in(wait)
    }

    fn wait(&self, attempt: u32, setback: Setback<'_>) -> Option<Duration> {
        self.patience.wait(attempt, setback)
    }
}

impl From<reqwest::Client> for Web {
    fn from(client: reqwest::Client) -> Self {
        Self::new(client, Arc::new(Once))
    }
}

impl HttpError {
    fn again_in(self, wait: Option<Duration>) -> Miss {
        Miss { error: self, wait }
    }
}

impl From<HttpError> for Miss {
    /// A failure that another try does not help.
    fn from(error: HttpError) -> Self {
        error.again_in(None)
    }
}

/// No second try.
#[derive(Debug)]
pub(crate) struct Once;

impl Patience for Once {
    fn wait(&self, _: u32, _: Setback<'_>) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::{Download, download};
    use crate::testing::{Server, client};

    /// Two tries more, whatever happened.
    #[derive(Debug)]
    struct Twice;

    impl Patience for Twice {
        fn wait(&self, attempt: u32, _: Setback<'_>) -> Option<Duration> {
            (attempt <= 2).then_some(Duration::ZERO)
        }
    }

    fn web() -> Web {
        Web::new(client(), Arc::new(Twice))
    }

    /// A server that gives these answers, one after the other, the last one again and again.
    fn server(answers: &'static [&'static str]) -> (Server, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&count);
        let server = Server::start(move |_| {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            answers[number.min(answers.len() - 1)].into()
        });
        (server, count)
    }

    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf";
    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole";

    #[tokio::test]
    async fn what_may_pass_is_asked_for_again_and_arrives_whole() {
        for (answers, expected) in [
            (&[BUSY, CUT, WHOLE][..], Ok("whole")),
            (&[BUSY], Err("invalid response status 503")),
            (&[CUT], Err("cannot download ")),
        ] {
            let (server, count) = server(answers);
            let scratch = tempfile::tempdir().unwrap();
            let request = Download {
                url: server.url("/f"),
                ..Download::default()
            };
            let found = download(&web(), &request, scratch.path()).await;
            assert_eq!(count.load(Ordering::Relaxed), 3, "{answers:?}");
            match (found, expected) {
                (Ok(file), Ok(text)) => {
                    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), text);
                    let kept = std::fs::read_dir(scratch.path()).unwrap().count();
                    assert_eq!(kept, 1, "what was cut off is gone");
                }
                (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}"),
                (found, _) => panic!("{answers:?}: {found:?}"),
            }
        }
    }

    #[tokio::test]
    async fn text_is_sent_again_and_its_failure_names_the_place_without_its_secrets() {
        let (taken, count) = server(&[BUSY, WHOLE]);
        web().put(&taken.url("/d"), "sha256:0").await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        let nobody = "http://me:hunter2@127.0.0.1:1/d?token=hunter2";
        let error = web().put(nobody, "sha256:0").await.unwrap_err();
        assert_eq!(error.to_string(), "cannot send to http://127.0.0.1:1/d");
    }
}
