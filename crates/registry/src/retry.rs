//! When to try again, and how long to wait before that.

use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::transport::connect_problem;
use crate::{RegistryError, date};

/// How often and how fast failed requests are repeated.
///
/// Only what may pass is repeated: too many requests, a server error, a connection
/// that broke, bytes that are not the promised ones. A host that takes no connection, or
/// never answers, is called half as often. The wait is a random part of a limit that doubles each time, or what
/// the registry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, at least one.
    pub attempts: u32,
    /// The limit of the first wait.
    pub base_delay: Duration,
    /// The limit of every wait.
    pub max_delay: Duration,
    /// The longest wait that a registry may ask for; if it asks for more, the request fails at once.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(20),
            max_retry_after: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// No second try.
    #[must_use]
    pub fn once() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// The same with so many tries more.
    #[must_use]
    pub fn with_more(self, tries: u32) -> Self {
        Self {
            attempts: self.attempts.saturating_add(tries),
            ..self
        }
    }

    /// As many tries as by default, with waits of a few milliseconds, for tests.
    #[must_use]
    pub fn fast() -> Self {
        Self {
            base_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(5),
            ..Self::default()
        }
    }

    /// How long to wait after the failed try number `attempt` (from 1); `None` gives up.
    pub(crate) fn delay(&self, attempt: u32, error: &RegistryError) -> Option<Duration> {
        let asked = error.is_retryable().then(|| error.retry_after())?;
        let policy = if error.is_slow() {
            self.halved()
        } else {
            *self
        };
        policy.delay_after(attempt, asked)
    }

    /// As [`RetryPolicy::delay`] for what is known to be worth another try.
    pub(crate) fn delay_after(&self, attempt: u32, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts.max(1) {
            return None;
        }
        match asked {
            Some(asked) => (asked <= self.max_retry_after).then_some(asked),
            None => Some(self.backoff(attempt)),
        }
    }

    /// How long to wait after the try number `attempt` (from 1) that a server answered with an error; `None` gives up.
    #[must_use]
    pub fn wait_after_answer(
        &self,
        attempt: u32,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Duration> {
        is_passing(status.as_u16())
            .then(|| self.delay_after(attempt, retry_after(headers)))
            .flatten()
    }

    /// How long to wait after the try number `attempt` (from 1) that no whole answer came to; `None` gives up.
    #[must_use]
    pub fn wait_after_failure(&self, attempt: u32, error: &reqwest::Error) -> Option<Duration> {
        let policy = match (error.is_connect(), error.is_timeout()) {
            (true, _) if !connect_problem(error).may_pass() => return None,
            (false, false) => *self,
            // Each further try may take as long as a time limit.
            _ => self.halved(),
        };
        let sent = !error.is_builder() && !error.is_redirect();
        sent.then(|| policy.delay_after(attempt, None)).flatten()
    }

    /// How long to wait after the try number `attempt` (from 1) of what is known to be worth another; `None` gives up.
    #[must_use]
    pub fn wait_after(&self, attempt: u32) -> Option<Duration> {
        self.delay_after(attempt, None)
    }

    /// As [`RetryPolicy::wait_after`] for a server that cannot be reached.
    #[must_use]
    pub fn wait_after_silence(&self, attempt: u32) -> Option<Duration> {
        self.halved().delay_after(attempt, None)
    }

    pub(crate) fn halved(&self) -> Self {
        Self {
            attempts: self.attempts.div_ceil(2),
            ..*self
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let limit = self
            .base_delay
            .saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX))
            .min(self.max_delay);
        // Whole milliseconds, because people read them.
        let wait = limit.mul_f64(random_fraction());
        Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// Runs `attempt` until it succeeds or its error is final.
    pub(crate) async fn run<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.run_where(|_| true, attempt).await
    }

    /// As [`RetryPolicy::run`], for errors that `again` agrees to.
    pub(crate) async fn run_where<T, F>(
        &self,
        again: impl Fn(&RegistryError) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut number = 1;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(delay) = self.delay(number, &error).filter(|_| again(&error)) else {
                return Err(error);
            };
            tracing::warn!(%error, attempt = number, ?delay, "trying again");
            tokio::time::sleep(delay).await;
            number += 1;
        }
    }
}

/// Whether an answer with this status may be another one later.
pub(crate) fn is_passing(status: u16) -> bool {
    // 520 to 530 are what a content delivery network says of the server behind it.
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=530)
}

/// A number from 0 to 1. Only waits depend on it, so the standard library's hash seed will do.
fn random_fraction() -> f64 {
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// What `Retry-After` asks for, in seconds or as a date measured by the registry's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date::parse(asked)?;
    let now = date::parse(text(DATE)?)?;
    Some(Duration::from_secs(u64::try_from(until - now).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        headers.insert(DATE, "Wed, 21 Oct 2015 07:28:00 GMT".parse().unwrap());
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let cases = [
            ("7", Some(7)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            let found = super::retry_after(&headers(text));
            assert_eq!(found, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[tokio::test]
    async fn only_what_may_pass_is_worth_another_try() {
        let policy = RetryPolicy::fast();
        for (status, expected) in [(503, true), (429, true), (404, false), (401, false)] {
            let status = StatusCode::from_u16(status).unwrap();
            let wait = policy.wait_after_answer(1, status, &HeaderMap::new());
            assert_eq!(wait.is_some(), expected, "{status}");
        }
        let asked = policy.wait_after_answer(1, StatusCode::TOO_MANY_REQUESTS, &headers("7"));
        assert_eq!(asked, Some(Duration::from_secs(7)));
        let client = crate::download_client(&crate::Options::default(), true).unwrap();
        let refused = client.get("http://127.0.0.1:1/").send().await.unwrap_err();
        assert!(policy.wait_after_failure(1, &refused).is_some());
        assert!(policy.wait_after_failure(4, &refused).is_none());
        let invalid = client.get("http://[").send().await.unwrap_err();
        assert!(policy.wait_after_failure(1, &invalid).is_none());
    }

    #[test]
    fn the_wait_grows_and_has_a_limit() {
        let policy = RetryPolicy::default();
        for attempt in [1, 2, 3, 30, 40, u32::MAX] {
            assert!(policy.backoff(attempt) <= policy.max_delay);
        }
        assert!(policy.backoff(1) <= policy.base_delay);
    }
}
