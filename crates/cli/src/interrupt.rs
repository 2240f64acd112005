//! SIGINT, SIGTERM and SIGHUP stop the build in order.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use yadokari_sandbox::Cancel;

/// A RUN is stopped and the container's root restored within this time.
const GRACE: Duration = Duration::from_secs(10);

/// The signals, being listened to.
#[derive(Debug)]
pub struct Interrupt {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

/// Why work was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stopped by {name}")]
pub struct Interrupted {
    /// The signal's name.
    pub name: &'static str,
}

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// The operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Runs `work` to its end. After a signal, `cancel` is set and `on_signal` told its name, and work that
    /// does not end by itself soon is given up.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] when a signal came and the work was given up.
    pub async fn guard<T>(
        mut self,
        cancel: &Cancel,
        on_signal: impl FnOnce(&str),
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let mut work = std::pin::pin!(work);
        let name = tokio::select! {
            done = &mut work => return Ok(done),
            name = self.next() => name,
        };
        cancel.cancel();
        on_signal(name);
        let done = tokio::time::timeout(GRACE, &mut work).await;
        done.map_err(|_| Interrupted { name })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}

/// The exit code of a program that a signal stopped, as a shell has it: 128 and the signal's number.
pub fn exit_code(signal: &str) -> u8 {
    match signal {
        "SIGHUP" => 129,
        "SIGINT" => 130,
        _ => 143,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_gives_the_exit_code_that_shells_give_it() {
        for (signal, code) in [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)] {
            assert_eq!(exit_code(signal), code);
        }
    }
}
