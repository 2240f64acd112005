//! SIGINT, SIGTERM and SIGHUP stop the build in order.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use yadokari_sandbox::Cancel;

use crate::report::Failure;

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

/// What is told of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The first: work is asked to end.
    Ending(&'static str),
    /// Another one: work is given up.
    GivingUp(&'static str),
}

impl Told {
    /// The signal's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ending(name) | Self::GivingUp(name) => name,
        }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ending(name) => write!(f, "{name}: ending what runs and tidying up"),
            Self::GivingUp(name) => write!(f, "{name} again: giving up what has not ended"),
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Self {
            code: exit_code(interrupted.name),
            ..Self::new(&interrupted)
        }
    }
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

    /// Runs `work` to its end. After a signal, `cancel` is set and `on_signal` told of it, and work that
    /// does not end by itself soon is given up; at a second signal at once.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] when a signal came and the work was given up.
    pub async fn guard<T>(
        mut self,
        cancel: &Cancel,
        mut on_signal: impl FnMut(Told),
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let mut work = std::pin::pin!(work);
        let name = tokio::select! {
            done = &mut work => return Ok(done),
            name = self.next() => name,
        };
        cancel.cancel();
        on_signal(Told::Ending(name));
        tokio::select! {
            done = tokio::time::timeout(GRACE, &mut work) => done.map_err(|_| Interrupted { name }),
            name = self.next() => {
                on_signal(Told::GivingUp(name));
                Err(Interrupted { name })
            }
        }
    }

    /// Runs `work` to its end, or until a signal comes. It can be given up at any point.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] when a signal came.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            done = work => Ok(done),
            name = self.next() => Err(Interrupted { name }),
        }
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
    use rustix::process::Signal;

    use super::*;

    #[tokio::test]
    async fn a_second_signal_does_not_wait_for_work_that_does_not_end() {
        let interrupt = Interrupt::listen().unwrap();
        let cancel = Cancel::new();
        let mut told = Vec::new();
        let raise = || rustix::process::kill_process(rustix::process::getpid(), Signal::HUP);
        raise().unwrap();
        let on_signal = |news: Told| {
            told.push(news);
            if told.len() == 1 {
                raise().unwrap();
            }
        };
        let done = interrupt.guard(&cancel, on_signal, std::future::pending::<()>());
        assert_eq!(done.await, Err(Interrupted { name: "SIGHUP" }));
        assert_eq!(told, [Told::Ending("SIGHUP"), Told::GivingUp("SIGHUP")]);
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn a_signal_gives_the_exit_code_that_shells_give_it() {
        for (signal, code) in [("SIGHUP", 129), ("SIGINT", 130), ("SIGTERM", 143)] {
            assert_eq!(exit_code(signal), code);
        }
    }
}
